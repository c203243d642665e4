// An API on the server of the JDK: the way to a handler is the context with the longest prefix.

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.function.BiFunction;

final class Routes {
    public static void main(String[] arguments) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 128);
        add(server, "/", (method, path) -> "other:any");
        add(server, "/public/", (method, path) -> "public");
        add(server, "/admin/", (method, path) -> "admin:any");
        add(server, "/v1/items", (method, path) ->
            path.equals("/v1/items") && method.equals("POST") ? "items:write" : "other:any");
        add(server, "/v1/items/", (method, path) -> {
            if (!path.matches("/v1/items/[^/]+")) {
                return "other:any";
            }
            return switch (method) {
                case "GET", "HEAD" -> "items:read";
                case "PUT", "DELETE" -> "items:remove";
                default -> "other:any";
            };
        });
        server.start();
        System.out.println("listening at " + server.getAddress().getPort());
    }

    static void add(HttpServer server, String prefix, BiFunction<String, String, String> handler) {
        server.createContext(prefix, exchange -> {
            exchange.getRequestBody().readAllBytes();
            say(exchange, "X-Handler", handler.apply(exchange.getRequestMethod(), exchange.getRequestURI().getPath()));
            say(exchange, "X-Saw", exchange.getRequestURI().toString());
            say(exchange, "X-Permissions", exchange.getRequestHeaders().getFirst("X-Portcullis-Permissions"));
            say(exchange, "X-Case", exchange.getRequestHeaders().getFirst("X-Case"));
            exchange.sendResponseHeaders(204, -1);
            exchange.close();
        });
    }

    static void say(HttpExchange exchange, String name, String value) {
        exchange.getResponseHeaders().set(name, value == null ? "" : value);
    }
}
