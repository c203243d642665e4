// An API on Node's own server, trusting as people write them: it resolves and decodes the path, and lets a header or a
// parameter say another method or another path.
import http from 'node:http';

const METHOD_HEADERS = ['x-http-method-override', 'x-http-method', 'x-method-override'];
const PATH_HEADERS = ['x-original-url', 'x-rewrite-url'];

function method(request, url) {
    if (request.method !== 'POST') return request.method;
    const claimed = METHOD_HEADERS.map((name) => request.headers[name]).find(Boolean);
    return (claimed ?? url.searchParams.get('_method') ?? 'POST').toUpperCase();
}

function target(request) {
    return PATH_HEADERS.map((name) => request.headers[name]).find(Boolean) ?? request.url;
}

function handler(method, path) {
    if (path.startsWith('/public/')) return 'public';
    if (path.startsWith('/admin/')) return 'admin:any';
    if (path === '/v1/items' && method === 'POST') return 'items:write';
    if (/^\/v1\/items\/[^/]+$/.test(path)) {
        if (method === 'GET' || method === 'HEAD') return 'items:read';
        if (method === 'PUT' || method === 'DELETE') return 'items:remove';
    }
    return 'other:any';
}

const server = http.createServer((request, response) => {
    request.resume();
    request.on('end', () => {
        const url = new URL(`http://node.test${target(request)}`);
        const path = decodeURIComponent(url.pathname).replaceAll('\\', '/').replace(/\/+/g, '/');
        response.writeHead(204, {
            'X-Handler': handler(method(request, url), path),
            'X-Saw': request.url,
            'X-Permissions': request.headers['x-portcullis-permissions'] ?? '',
            'X-Case': request.headers['x-case'] ?? '',
        });
        response.end();
    });
});
server.keepAliveTimeout = 75_000;
server.listen(0, '127.0.0.1', () => console.log(`listening at ${server.address().port}`));
