// Makes a grant by a test server's control, and prints it as the suite's adapter "command" wants it.
const [url] = process.argv.slice(2)
const { RESCIND_CLIENT_ID: client_id, RESCIND_USER: user } = process.env
const body = new URLSearchParams({ client_id, user: user === 'second' ? 'bob' : 'ann' })
const { access, refresh } = await (await fetch(url, { method: 'POST', body })).json()
console.log(JSON.stringify({ access_token: access, refresh_token: refresh, expires_in: 3600 }))
