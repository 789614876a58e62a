// An API behind the gateway, as careless as many: it reads the path as browsers
// do, decodes it twice, forgets case, believes headers that override path and
// method, and takes _ and . in header names for -.
'use strict'
const http = require('http')
const routes = ['/internal', '/admin', '/api/ops', '/cased/secret', '/write', '/api', '/public', '/cased']
function decode (s) { try { return decodeURIComponent(s) } catch { return s } }
function routeOf (path) {
  const url = new URL(path.replace(/^\/+/, '/'), 'http://api.example')
  const plain = decode(decode(url.pathname)).toLowerCase().replace(/\\/g, '/').replace(/;[^/]*/g, '').replace(/[. ]+(\/|$)/g, '$1').replace(/\/+/g, '/')
  const clean = new URL(plain, 'http://api.example').pathname
  return routes.find(r => clean === r || clean.startsWith(r + '/')) || 'other'
}
http.createServer({ maxHeaderSize: 65536, insecureHTTPParser: true }, (req, res) => {
  req.on('data', () => {})
  req.on('error', () => {})
  req.on('end', () => {
    const lines = ['backend=node']
    let path = req.url, method = req.method, probe = ''
    const each = (raw, from) => {
      for (let i = 0; i < raw.length; i += 2) {
        const name = raw[i].toLowerCase().replace(/[_.]/g, '-'), value = raw[i + 1]
        if (name.startsWith('x-sallyport-')) lines.push('id=' + from + name + ':' + value)
        if (name === 'x-original-url' || name === 'x-rewrite-url') path = value
        if (name.startsWith('x-http-method') || name === 'x-method-override') method = value
        if ((name === 'x-script-name' || name === 'script-name') && value && path.includes(value)) path = path.slice(path.indexOf(value) + value.length) || '/' // as gunicorn does
        if (name === 'x-probe') probe = value
      }
    }
    each(req.rawHeaders, '')
    each(req.rawTrailers, 'trailer ')
    lines.push('route=' + routeOf(path), 'method=' + method, 'path=' + path, 'probe=' + probe)
    if (probe.includes('smuggled') || req.url.includes('smuggled')) console.log('smuggled ' + req.method + ' ' + req.url)
    if (req.url.startsWith('/_sallyport/')) console.log('GET ' + req.url + ' ' + JSON.stringify(req.rawHeaders))
    res.setHeader('Content-Type', 'text/plain')
    res.end(lines.join('\n') + '\n')
  })
}).listen(Number(process.argv[2]), '127.0.0.1')
