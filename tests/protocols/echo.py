"""Sends the body of a request back, and says which one it was."""


def app(environ, start_response):
    body = environ["wsgi.input"].read()
    line = f"{environ['REQUEST_METHOD']} {environ['RAW_URI']} {type(environ['gunicorn.socket']).__name__}"
    told = environ.get("HTTP_X_PORTCULLIS_ACCOUNT", "nobody")
    start_response("200 OK", [("X-Line", line), ("X-Told", told), ("X-Host", environ["HTTP_HOST"])])
    return [body]
