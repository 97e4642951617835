// Express with pg and ejs, as their documentation shows them. Arguments: the port and
// the URL of PostgreSQL.
const express = require('express')
const ejs = require('ejs')
const { Pool, types } = require('pg')

types.setTypeParser(types.builtins.INT8, Number)
const [port, database] = process.argv.slice(2)
const pool = new Pool({ connectionString: database, max: 10 })
const app = express()

const page = ejs.compile(`<!DOCTYPE html>
<html><head><title>Fortunes</title></head><body><table>
<tr><th>id</th><th>message</th></tr>
<% for (const f of fortunes) { %><tr><td><%= f.id %></td><td><%= f.message %></td></tr>
<% } %></table></body></html>
`)

app.get('/plain', (req, res) => res.type('text/plain').send('Hello, World'))

app.get('/json', (req, res) => res.json({ message: 'Hello, World' }))

app.get('/items/:id', async (req, res) => {
  const { rows } = await pool.query('SELECT id, owner, title, body, price, active, created FROM items WHERE id = $1', [Number(req.params.id)])
  if (rows.length === 0) return res.status(404).json({ error: 'there is no such item' })
  res.json(rows[0])
})

app.get('/fortunes', async (req, res) => {
  const { rows } = await pool.query('SELECT id, message FROM fortunes')
  rows.push({ id: 0, message: 'Additional fortune added at request time.' })
  rows.sort((a, b) => (a.message < b.message ? -1 : 1))
  res.type('text/html').send(page({ fortunes: rows }))
})

app.listen(Number(port), '127.0.0.1')
