// Sends a request back: line, fields and body, over the protocol that is its first argument: `http`, `https`, `h2c` or `h2`.
// The others are certificate and key.
import fs from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';

const [protocol, certificate, key] = process.argv.slice(2);
const tls = certificate && { cert: fs.readFileSync(certificate), key: fs.readFileSync(key) };
const make = {
    http: (echo) => http.createServer(echo),
    https: (echo) => https.createServer(tls, echo),
    h2c: (echo) => http2.createServer(echo),
    h2: (echo) => http2.createSecureServer(tls, echo),
}[protocol];

const server = make((request, response) => {
    response.setHeader('X-Line', `${request.method} ${request.url} ${request.httpVersion}`);
    response.setHeader('X-Told', request.headers['x-portcullis-account'] ?? 'nobody');
    response.setHeader('X-Host', request.headers.host ?? request.headers[':authority']);
    response.setHeader('Set-Cookie', ['a=1', 'b=2']);
    request.pipe(response);
});
server.listen(0, '127.0.0.1', () => console.log(`listening at ${server.address().port}`));
