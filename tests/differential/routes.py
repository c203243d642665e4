"""An API in Flask: the way to a handler is a rule of werkzeug's router."""
from flask import Flask, Response, request

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

app = Flask(__name__, static_folder=None)


def route(handler, *rules, methods=METHODS):
    def view(**_parts):
        request.get_data()
        headers = {
            "X-Handler": handler,
            "X-Saw": request.environ["RAW_URI"],
            "X-Permissions": request.headers.get("X-Portcullis-Permissions", ""),
            "X-Case": request.headers.get("X-Case", ""),
        }
        return Response(status=204, headers=headers)

    for number, rule in enumerate(rules):
        name = f"{handler.replace(':', '_')}_{number}"
        app.add_url_rule(rule, name, view, methods=methods, provide_automatic_options=False)


# No HEAD where there is GET: werkzeug adds it.
route("public", "/public/", "/public/<path:rest>")
route("admin:any", "/admin/", "/admin/<path:rest>")
route("items:write", "/v1/items", methods=["POST"])
route("items:read", "/v1/items/<item>", methods=["GET"])
route("items:remove", "/v1/items/<item>", methods=["PUT", "DELETE"])
route("other:any", "/", "/<path:rest>")
