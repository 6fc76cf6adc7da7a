import { request } from 'node:http'

/**
 * Kills tokens as most scripts do: one at a time, a new connection each, no pacing. Returns kills a
 * second.
 *
 * @throws Error when a kill is not answered with 200: then there is nothing to compare with
 */
export async function killOneAtATime(url: string, tokens: readonly string[]): Promise<number> {
  const startedAt = performance.now()
  for (const token of tokens) {
    const status = await revoke(`${url}/services/oauth2/revoke`, token)
    if (status !== 200) throw new Error(`the org answered ${status}`)
  }
  return tokens.length / ((performance.now() - startedAt) / 1000)
}

function revoke(url: string, token: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const call = request(url, { method: 'POST', agent: false, headers }, (answer) => {
      answer.resume().once('end', () => resolve(answer.statusCode ?? 0))
    })
    call.once('error', reject)
    call.end(`token=${encodeURIComponent(token)}`)
  })
}
