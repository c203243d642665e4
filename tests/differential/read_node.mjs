// Answers every request with its reading of it, as JSON in ASCII; in a header, since HEAD is answered without a body.
import http from 'node:http';

const escaped = (text) => text.replace(/[^ -~]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);

const server = http.createServer({ maxHeaderSize: 256 * 1024 }, (request, response) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
        const headers = [];
        for (let at = 0; at < request.rawHeaders.length; at += 2) {
            headers.push([request.rawHeaders[at].toLowerCase(), request.rawHeaders[at + 1]]);
        }
        const body = Buffer.concat(parts).toString('latin1');
        const reading = { method: request.method, target: request.url, headers, body };
        const text = escaped(JSON.stringify(reading));
        response.writeHead(204, { 'X-Reading': text });
        response.end();
    });
});
server.keepAliveTimeout = 75_000;
server.listen(0, '127.0.0.1', () => console.log(`listening at ${server.address().port}`));
