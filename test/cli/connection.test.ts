import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type SalesforceOrg, startSalesforce } from '../../emulators/index.ts'
import { openReceiver } from '../server/webhook-receiver.ts'
import { rescind } from '../support/run-cli.ts'
import { scaledClock } from '../support/scaled-clock.ts'
import { tempHome } from '../support/temp-home.ts'

const WEBHOOK = Buffer.alloc(32, 5).toString('base64')

async function open() {
  const home = tempHome()
  const org = await startSalesforce({
    ...{ seed: 12, size: { users: 30, apps: 14, tokens: 100 }, switches: { rotation: 'all' } },
  })
  const receiver = await openReceiver(WEBHOOK)
  onTestFinished(async () => {
    await receiver[Symbol.asyncDispose]()
    await org.close()
    home[Symbol.dispose]()
  })
  writeFileSync(join(home.path, 'rescind.yaml'), configFor(org, receiver.url))
  const env = { HOOK: `whsec_${WEBHOOK}`, SECRET: 'unused' }
  const ran: string[] = []
  const run = async (args: readonly string[], more: Record<string, string> = {}) => {
    const result = await rescind(args, { home: home.path, env: { ...env, ...more } })
    ran.push(result.stdout, result.stderr)
    return result
  }
  const add = async (owner = 'acme') => {
    const { userId } = org.credentials.admin
    const grant = org.addGrant({ userId, appId: org.credentials.tool.clientId })
    const options = ['--owner', owner, '--refresh-token-env', 'RT', '--tag', 'drill', '--json']
    const added = await run(['connection', 'add', ...options], { RT: grant.refreshToken })
    return { ...added, grant, id: added.json?.connection?.id as string }
  }
  return { home: home.path, env, org, receiver, run, add, ran }
}

function configFor({ url, credentials }: SalesforceOrg, hook: string): string {
  return `tenants:
  org:
    provider: salesforce
    url: ${url}
    app:
      clientId: ${credentials.tool.clientId}
      redirectUri: http://127.0.0.1:50123/callback
      scopes: [api, refresh_token]
      options: { rotation: 'on' }
connections:
  webhooks:
    - { url: ${hook}, secret: '\${env:HOOK}' }
`
}

describe('rescind connection', () => {
  test('check, stopped while the provider is only looked at: it ends at once, and nothing is changed', async () => {
    const { org, run, add, home, env } = await open()
    const { id } = await add()
    org.setFaults([{ kind: 'slow', ms: 60_000, on: 'userinfo' }])
    const ran = await rescind(['connection', 'check', id], {
      home,
      env,
      signal: AbortSignal.timeout(400),
    })
    expect([ran.exitCode, ran.stdout]).toEqual([6, ''])
    expect(ran.stderr).toMatch(/^rescind: Stopped before the provider said how it is\./)
    org.setFaults([])
    const { events } = (await run(['connection', 'show', id, '--json'])).json
    expect(events.map(({ type }: { type: string }) => type)).toEqual([
      ...['connection.created', 'connection.refreshed'],
    ])
    const all = await run(['connection', 'check', '--json'])
    expect(all.json).toMatchObject({ checked: 1, states: { connected: 1 } })
    // Shorter than what a request may take.
  }, 20_000)

  test('check, stopped while a token is given: it is waited for, and stored', async () => {
    const { org, run, add, home, env } = await open()
    const { id, grant } = await add()
    org.expireSessions()
    org.setFaults([{ kind: 'slow', ms: 1_000, on: 'token', nth: 1 }])
    const stop = new AbortController()
    const options = { home, env, signal: stop.signal }
    const running = rescind(['connection', 'check', id], options)
    using store = new DatabaseSync(join(home, 'rescind.db'), { readOnly: true })
    const sent = store.prepare("SELECT 1 FROM connection WHERE intent = 'sent'")
    await expect.poll(() => sent.get()).toBeDefined()
    stop.abort()
    const ran = await running
    expect([ran.exitCode, ran.stderr]).toEqual([
      6,
      expect.stringMatching(
        /^Stopping\. What is under way .*\nrescind: Stopped before .* is stored/,
      ),
    ])
    expect(org.truth.isAlive(grant.deleteToken)).toBe(true)
    const after = await run(['connection', 'check', id, '--json'])
    expect(after.json.connection).toMatchObject({ state: 'connected', cause: null })
  })

  test('disconnect, where a consent was lost and nothing is held: another run is not proposed', async () => {
    const { run, home } = await open()
    const { json } = await run(['connection', 'invite', '--owner', 'acme', '--json'])
    {
      using raw = new DatabaseSync(join(home, 'rescind.db'))
      raw.exec("UPDATE reconnect SET used_at = 1, intent = 'lost'")
    }
    const ran = await run(['connection', 'disconnect', json.connection])
    expect([ran.exitCode, ran.stdout]).toEqual([
      5,
      expect.stringMatching(
        /unknown \(a consent .* was cut off, .*\)\.\nIts grant may live on\. End it at the provider\.\n$/,
      ),
    ])
  })

  test('check of all, stopped: it says so, and what was not looked at is no failure', async () => {
    const { org, add, home, env } = await open()
    await add()
    org.setFaults([{ kind: 'slow', ms: 60_000, on: 'userinfo' }])
    const options = { home, env, signal: AbortSignal.timeout(400) }
    const ran = await rescind(['connection', 'check', '--json'], options)
    expect(ran.exitCode).toBe(6)
    expect(ran.json).toMatchObject({ checked: 0, failed: [] })
    expect(ran.stderr).toMatch(/Stopped: those that are not listed were not checked\./)
  })

  test('add, list, show, check, disable, enable, disconnect; and no secret in any word', async () => {
    const { org, run, add, ran, receiver, home } = await open()
    const { id, exitCode, json, grant } = await add()
    expect([exitCode, json.connection.state]).toEqual([0, 'connected'])
    const listed = await run(['connection', 'list', '--tag', 'drill'])
    expect(listed.stdout).toMatch(new RegExp(`${id}.*acme.*org.*connected`))
    const shown = await run(['connection', 'show', id])
    expect(shown.stdout).toMatch(/state +connected[\s\S]*scopes +api[\s\S]*connection\.created/)
    expect((await run(['connection', 'check', id])).exitCode).toBe(0)
    await run(['connection', 'disable', id])
    expect((await run(['connection', 'check', id])).exitCode).toBe(5)
    expect((await run(['connection', 'enable', id])).stdout).toMatch(/state +degraded/)
    const due = await run(['connection', 'check', '--json'])
    expect(due.json).toMatchObject({ checked: 1, states: { connected: 1 } })
    const rotated = await run(['vault', 'rotate-key'])
    expect(rotated.stdout).toMatch(/^2 secrets sealed with the new key/)
    const gone = await run(['connection', 'disconnect', id])
    expect(gone.stdout).toMatch(/Revoked at the provider: yes \(.*HTTP 200/)
    expect(org.truth.isAlive(grant.deleteToken)).toBe(false)
    expect(receiver.seen.map(({ type, isSigned }) => [type, isSigned])).toEqual([
      ['connection.disabled', true],
      ['connection.enabled', true],
      ['connection.revoked', true],
    ])
    const words = [...ran, ...receiver.seen.map(({ raw }) => raw)].join('\n')
    const file = readFileSync(join(home, 'rescind.db'), 'latin1')
    for (const secret of org.truth.secrets()) {
      expect(words).not.toContain(secret)
      expect(file).not.toContain(secret)
    }
  })

  test.each(['check', 'disconnect'])(
    '%s after a refresh that was killed: says at once why it waits, and until when',
    async (command) => {
      const { home, add, org } = await open()
      const { id } = await add()
      const { DatabaseSync } = await import('node:sqlite')
      using raw = new DatabaseSync(join(home, 'rescind.db'))
      raw.exec("UPDATE connection SET intent = 'sent', intent_at = 1, fence = fence + 1")
      const clock = scaledClock(100)
      const env = { HOOK: `whsec_${WEBHOOK}` }
      const startedAt = clock.now()
      const fence = () => raw.prepare('SELECT fence FROM connection').get()?.fence
      const [held, fenceWhenSaid] = [fence(), [] as unknown[]]
      const ran = await rescind(['connection', command, id, '--json'], {
        ...{ home, env, clock },
        onStderr: () => fenceWhenSaid.push(fence()),
      })
      expect(ran.exitCode).toBe(0)
      const [, until = ''] =
        /^Another process began a refresh of con_\w+ and has not ended it: waiting for it until (\S+) at the latest/.exec(
          ran.stderr,
        ) ?? []
      expect(ran.stderr.split('\n').filter((line) => /waiting/.test(line)).length).toBe(1)
      // The lease is two minutes long, by polls that take a little longer than they are meant to.
      expect(Date.parse(until) - startedAt).toBeGreaterThan(100_000)
      expect([fenceWhenSaid[0], fence()]).toEqual([held, Number(held) + 1])
      expect(org.counters().get('token')).toBe(command === 'check' ? 2 : 1)
    },
  )

  test('disconnect from a provider that hangs: says what it waits for, ends in time, and unknown', async () => {
    const { home, add, org } = await open()
    const { id, grant } = await add()
    org.setFaults([{ kind: 'hang_before_effect', on: 'revoke' }])
    const clock = scaledClock(30)
    const env = { HOOK: `whsec_${WEBHOOK}` }
    const ran = await rescind(['connection', 'disconnect', id], { home, env, clock })
    expect(ran.stdout).toMatch(
      /provider: unknown \(the provider gave no answer: http_timeout\)\.\nIts grant may live on/,
    )
    expect(ran.stderr).toMatch(
      new RegExp(
        `^The provider of org was asked to revoke ${id} and has not answered: it has time`,
      ),
    )
    expect([ran.exitCode, org.truth.isAlive(grant.deleteToken)]).toEqual([5, true])
    org.setFaults([])
    const again = await rescind(['connection', 'disconnect', id], { home, env })
    expect(again.stdout).toMatch(/provider: yes/)
    expect(org.truth.isAlive(grant.deleteToken)).toBe(false)
  }, 20_000)

  test('of a tenant that is configured no longer: shown, ended here, and revoked when it is back', async () => {
    const { home, add, org, run } = await open()
    const { id, grant } = await add()
    const file = join(home, 'rescind.yaml')
    const config = readFileSync(file, 'utf8')
    writeFileSync(file, config.replace('  org:', '  other:'))
    const shown = await run(['connection', 'show', id])
    expect([shown.exitCode, shown.stdout]).toEqual([0, expect.stringMatching(/at org .*\nstate/)])
    const ended = await run(['connection', 'disconnect', id])
    expect([ended.exitCode, ended.stderr]).toEqual([5, ''])
    expect(ended.stdout).toMatch(
      /provider: unknown \(the tenant "org" is not configured, so .* asked: configure it first\)\.\nIts grant may live on\. Run the command again/,
    )
    expect((await run(['connection', 'show', id])).stdout).toMatch(/state +revoked/)
    expect(org.truth.isAlive(grant.deleteToken)).toBe(true)
    writeFileSync(file, config)
    expect((await run(['connection', 'disconnect', id])).exitCode).toBe(0)
    expect(org.truth.isAlive(grant.deleteToken)).toBe(false)
  })

  test('one that is left alone for another connection: says to end that one first', async () => {
    const { home, add, org, run } = await open()
    const file = join(home, 'rescind.yaml')
    const config = readFileSync(file, 'utf8')
    writeFileSync(file, config.replace("rotation: 'on'", "rotation: 'on', grantsApart: false"))
    const [one, other] = [await add('one'), await add('other')]
    const left = await run(['connection', 'disconnect', one.id])
    expect(left.exitCode).toBe(5)
    expect(left.stdout).toMatch(
      /so it was left alone\)\.\nIts grant may live on\. Run the command again once no connection lives that it could take along: .* Until then that changes nothing/,
    )
    expect(org.truth.isAlive(one.grant.deleteToken)).toBe(true)
    expect((await run(['connection', 'disconnect', other.id])).exitCode).toBe(0)
    expect((await run(['connection', 'disconnect', one.id])).exitCode).toBe(0)
    expect(org.truth.isAlive(one.grant.deleteToken)).toBe(false)
  })

  test('notices that were set aside: listed, and sent again by id or all', async () => {
    const { run, add, receiver, home } = await open()
    const { id } = await add()
    const notices = (...args: string[]) => run(['connection', 'notices', ...args])
    expect((await notices('list')).stdout).toBe('No notice is set aside.\n')
    receiver.manner = { status: 410 }
    await run(['connection', 'disable', id])
    await run(['connection', 'enable', id])
    const listed = await notices('list', '--json')
    expect(listed.json).toMatchObject({
      more: 0,
      notices: ['disabled', 'enabled'].map((what) => ({
        ...{ connection: id, type: `connection.${what}`, tries: 1, why: 'it answered 410' },
        receiver: new URL(receiver.url).origin,
      })),
    })
    const ids: string[] = listed.json.notices.map((one: { id: string }) => one.id)
    expect((await notices('list')).stdout).toMatch(
      new RegExp(
        [
          ...[
            `^${ids[0]} +${id} +disabled +20.*`,
            `  ${new URL(receiver.url).origin}: it answered 410`,
          ],
          ...[
            `${ids[1]} +${id} +enabled +20.*`,
            `  ${new URL(receiver.url).origin}: it answered 410$`,
          ],
        ].join('\\n'),
        'm',
      ),
    )
    const refused = await notices('send-again', ids[0]!)
    expect(refused.stderr).toMatch(
      /^rescind: 1 notice was not taken.* What is set aside \(1\) holds up nothing\.$/m,
    )
    expect(refused.stderr).not.toMatch(/waits/)
    expect(refused.exitCode).toBe(1)
    receiver.manner = 'take'
    const one = await notices('send-again', ids[0]!, '--json')
    expect([one.exitCode, one.json]).toEqual([0, { again: 1, sent: 1, failed: 0, aside: 0 }])
    expect((await notices('send-again', '--all')).stdout).toMatch(/^Sent 1 notice/)
    expect(receiver.taken).toEqual(ids)
    expect((await notices('list', '--json')).json).toEqual({ notices: [], more: 0 })

    for (const wrong of [ids[0]!, 'cev_x']) {
      const ran = await notices('send-again', wrong)
      expect([ran.exitCode, ran.stderr]).toEqual([2, expect.stringContaining('is set aside. List')])
    }
    for (const wrong of [[], ['cev_1', '--all']]) {
      expect((await notices('send-again', ...wrong)).stderr).toMatch(/or all of them by --all/)
    }
    receiver.manner = { status: 410 }
    await run(['connection', 'disable', id])
    const file = join(home, 'rescind.yaml')
    writeFileSync(file, readFileSync(file, 'utf8').replace(receiver.url, 'http://127.0.0.1:9/'))
    const [{ id: left, receiver: whose }] = (await notices('list', '--json')).json.notices
    expect(whose).toBeNull()
    expect((await notices('send-again', left)).stderr).toMatch(
      /receiver that is not in rescind\.yaml/,
    )
  })

  test('add of a token that rotates, twice: refused, by the token of now and by the first', async () => {
    const { run, add, org } = await open()
    const { id, grant } = await add()
    const args = ['connection', 'add', '--owner', 'twin', '--refresh-token-env', 'RT']
    const asked = org.counters().get('token')
    // The first check has rotated it: presented once more it would end the grant.
    const twin = await run(args, { RT: grant.refreshToken })
    expect(twin.exitCode).toBe(2)
    expect(twin.stderr).toMatch(
      new RegExp(`^rescind: The connection ${id} of acme was made with this refresh token`),
    )
    expect(org.counters().get('token')).toBe(asked)
    expect(org.truth.isAlive(grant.deleteToken)).toBe(true)
    expect((await run(['connection', 'list', '--json'])).json.connections).toHaveLength(1)
    await run(['connection', 'disconnect', id])
    expect((await run(args, { RT: grant.refreshToken })).stdout).toMatch(/^Added con_/)
  })

  test('what is dead is said with its cause, and told', async () => {
    const { org, run, add, receiver } = await open()
    const { id, grant } = await add()
    const body = new URLSearchParams({ token: grant.deleteToken })
    await fetch(`${org.url}/services/oauth2/revoke`, { method: 'POST', body })
    org.expireSessions()
    const before = await run(['connection', 'check', id])
    expect(before.exitCode).toBe(5)
    expect(before.stdout).toMatch(/state +reconnect_needed\nwhy .*\[.*, (likely|certain)\]/)
    expect(receiver.taken.length).toBe(1)
  })

  test('add of a token that is good for nothing: exit 5, and what to do', async () => {
    const { run } = await open()
    const args = ['connection', 'add', '--owner', 'a', '--refresh-token-env', 'RT']
    const ran = await run(args, { RT: 'garbage-that-no-org-gave' })
    expect(ran.exitCode).toBe(5)
    expect(ran.stdout).toMatch(/^Added con_\w+, of a\.\nstate +reconnect_needed\n/)
    expect(ran.stdout).toMatch(/Let its owner consent: rescind connection link con_\w+\./)
    expect(ran.stdout).not.toContain('garbage')
  })

  test('list: a store that is empty is not one of which nothing fits', async () => {
    const { run, add } = await open()
    expect((await run(['connection', 'list', '--owner', 'nobody'])).stdout).toMatch(
      /no connection yet/,
    )
    await add()
    const none = await run(['connection', 'list', '--owner', 'nobody'])
    expect(none.stdout).toBe(
      'No connection fits what was asked for. List them all with: rescind connection list\n',
    )
  })

  test('show says who it is once', async () => {
    const { org, run, add } = await open()
    const { id } = await add()
    const { userId, username } = org.credentials.admin
    const identity = /^identity +(.*)$/m
    const who = async () => identity.exec((await run(['connection', 'show', id])).stdout)?.[1]
    expect(await who()).toBe(`${username} (${userId}), ${org.organizationId}`)
  })

  test('tag: one line of history each, and none for what is so already', async () => {
    const { run, add } = await open()
    const { id } = await add()
    for (const args of [['gold'], ['gold'], ['drill', '--remove'], ['none', '--remove']]) {
      expect((await run(['connection', 'tag', id, ...args])).exitCode).toBe(0)
    }
    const { json } = await run(['connection', 'show', id, '--json'])
    expect(json.connection.tags).toEqual(['gold'])
    const types = json.events.map(({ type }: { type: string }) => type)
    expect(types.slice(-2)).toEqual(['connection.tagged', 'connection.untagged'])
    expect(types.filter((type: string) => type.endsWith('tagged'))).toHaveLength(2)
    expect((await run(['connection', 'show', id])).stdout).toMatch(/^tags +gold$/m)
    const bad = await run(['connection', 'tag', id, 'a b'])
    expect([bad.exitCode, bad.stderr]).toEqual([2, expect.stringMatching(/A tag has 1 to 64/)])
  })

  test.each<[string, readonly string[], number, RegExp]>([
    ['an unknown connection', ['show', 'con_nobody'], 2, /no connection "con_nobody"\. List them/],
    ['an unknown state', ['list', '--state', 'dead'], 2, /no such --state\. Known: connected, /],
    ['no owner', ['add'], 2, /--owner/],
    ['nothing on standard input', ['add', '--owner', 'a'], 2, /refresh token is empty/],
    ['an unknown tenant', ['add', '--owner', 'a', '--tenant', 'b'], 2, /no tenant "b"/],
  ])('%s: one clear sentence', async (_title, args, exitCode, message) => {
    const { run } = await open()
    const ran = await run(['connection', ...args])
    expect(ran.exitCode).toBe(exitCode)
    expect(ran.stderr).toMatch(message)
    expect(ran.stderr.trim().split('\n').length).toBeLessThan(4)
  })

  test('a name that is nearly right is guessed', async () => {
    const { run, add } = await open()
    const { id } = await add()
    const ran = await run(['connection', 'show', `${id}x`])
    expect(ran.stderr).toContain(`Did you mean ${id}, of acme?`)
    expect((await run(['connection', 'show', 'acne'])).stderr).toContain('Did you mean')
    // Three other letters of four are another name.
    expect((await run(['connection', 'show', 'nope'])).stderr).toContain('List them')
  })

  test.each<[string, string, RegExp]>([
    ['no app', 'options: {}', /Tenant "a" has no app\. Add its clientId/],
    [
      'a secret in the file',
      "app: { clientId: a, clientSecret: hunter22, redirectUri: 'http://127.0.0.1/cb' }",
      /tenants\.a\.app\.clientSecret is a secret that stands in the file/,
    ],
    [
      'an option that is not known',
      "app: { clientId: a, redirectUri: 'http://127.0.0.1/cb', options: { rotations: on } }",
      /app\.options has an unknown key rotations/,
    ],
    ['a key that is not known', 'app: { clientID: a }', /clientID.*clientId/],
  ])('%s: said before a token is asked for', async (_title, app, message) => {
    const { home, run } = await open()
    const file = `tenants:\n  a:\n    provider: salesforce\n    url: http://127.0.0.1:9\n    ${app}\n`
    writeFileSync(join(home, 'rescind.yaml'), file)
    const ran = await run(['connection', 'add', '--owner', 'a', '--refresh-token-env', 'SECRET'])
    expect(ran.exitCode).toBe(2)
    expect(ran.stderr).toMatch(message)
    expect(ran.stderr).not.toContain('hunter22')
  })

  test('a provider without consents has no connections', async () => {
    const { home, run } = await open()
    const file = 'tenants:\n  a:\n    provider: rfc7009\n    url: http://127.0.0.1:9\n'
    writeFileSync(join(home, 'rescind.yaml'), file)
    const ran = await run(['connection', 'add', '--owner', 'a', '--refresh-token-env', 'SECRET'])
    expect(ran.stderr).toMatch(/has no connections/)
  })

  test('the last grant that may live: link and check say that one more ends the oldest', async () => {
    const { run, add } = await open()
    const { id } = await add()
    const first = await run(['connection', 'link', id, '--json'])
    expect(first.json.budget).toEqual({ live: 1, max: 5, complete: false, evictsOldest: null })
    expect(first.stderr).not.toMatch(/tokens of this user/)
    expect(first.stderr).toMatch(
      /^At least 1 of 5 tokens are known here, .* may end the oldest\.$/m,
    )
    const shown = await run(['connection', 'show', id])
    expect(shown.stdout).toMatch(/^budget +at least 1 of 5 live tokens .* did not count them$/m)
    for (const owner of ['b', 'c', 'd', 'e']) await add(owner)
    const words =
      '5 of 5 tokens of this user and app live: one more, and the provider ends the oldest.'
    const linked = await run(['connection', 'link', id, '--json'])
    expect(linked.stderr).toContain(words)
    expect(linked.json.budget).toEqual({ live: 5, max: 5, complete: false, evictsOldest: true })
    expect((await run(['connection', 'check', id])).stderr).toContain(words)
    const all = await run(['connection', 'check', '--json'])
    expect(all.json.budgets).toEqual([
      { connection: expect.any(String), live: 5, max: 5, complete: false },
    ])
    // The five are of one user and app: it is said once.
    expect(all.stderr.split(words)).toHaveLength(2)
    const invited = await run(['connection', 'invite', '--owner', 'new', '--json'])
    expect(invited.json.budget).toBeNull()
  })

  test('check of one that waits for its owner says that nobody was asked, and how to ask once more', async () => {
    const { org, run, add } = await open()
    const { id } = await add()
    const { userId } = org.credentials.admin
    org.setUserFrozen(userId, true)
    const found = await run(['connection', 'check', id, '--json'])
    expect(found.json).toMatchObject({ asked: true, connection: { state: 'reconnect_needed' } })
    // The cause is gone, and the grant lives.
    org.setUserFrozen(userId, false)
    org.clearLog()
    const waiting = await run(['connection', 'check', id])
    expect([waiting.exitCode, org.log.length]).toEqual([5, 0])
    expect(waiting.stdout).toMatch(
      /^Not asked: it waits for its owner\. Make its link: .* let in again, ask once more: /m,
    )
    const all = await run(['connection', 'check'])
    expect(all.stdout).toMatch(
      new RegExp(`^${id}  acme: .*\\] Not asked: it waits for its owner\\.$`, 'm'),
    )
    const { json } = await run(['connection', 'check', id, '--json'])
    expect(json).toMatchObject({ asked: false, probe: null })
    const told = waiting.stdout.split('ask once more: ')[1]!.trim().split(', then: ')
    expect(told).toHaveLength(3)
    for (const command of told) await run(command.replace('rescind ', '').split(' '))
    const after = await run(['connection', 'show', id, '--json'])
    expect(after.json.connection).toMatchObject({ state: 'connected', cause: null })
  })

  test.each([
    [
      'whose token is lost: nothing but its owner helps',
      `UPDATE connection SET state = 'reconnect_needed', intent = 'lost', cause = '{"code":"rotated_token_lost","confidence":"likely","text":"Lost."}'`,
      'Not asked: it waits for its owner. Make its link: rescind connection link ID.',
    ],
    [
      'that is disabled: how to use it again',
      "UPDATE connection SET state = 'disabled', due_at = NULL",
      'Not asked: it is disabled. To use it again: rescind connection enable ID, then: rescind connection check ID',
    ],
    [
      'that was disconnected',
      "UPDATE connection SET state = 'revoked', due_at = NULL",
      'Not asked: it was disconnected.',
    ],
  ])('check of one %s', async (_title, change, words) => {
    const { home, run, add } = await open()
    const { id } = await add()
    using store = new DatabaseSync(join(home, 'rescind.db'))
    store.exec(change)
    const { stdout, exitCode } = await run(['connection', 'check', id])
    expect([stdout.trim().split('\n').at(-1), exitCode]).toEqual([words.replaceAll('ID', id), 5])
  })

  test('check of all: a real call for each that is in use, due or not, a line each, and exit 5 for a dead one', async () => {
    const { org, run, add } = await open()
    expect((await run(['connection', 'check'])).stdout).toBe('Checked 0 connections.\n')
    const [well, dead, off] = [await add('well'), await add('dead'), await add('off')]
    await run(['connection', 'disable', off.id])
    expect((await run(['connection', 'check'])).exitCode).toBe(0)
    const body = new URLSearchParams({ token: dead.grant.deleteToken })
    await fetch(`${org.url}/services/oauth2/revoke`, { method: 'POST', body })
    for (const _ of ['when it is found out', 'when it is known']) {
      const ran = await run(['connection', 'check'])
      expect(ran.exitCode).toBe(5)
      expect(ran.stdout.split('\n').sort().join('\n').trim()).toMatch(
        /^Checked 2 connections: 1 \w+, 1 \w+\.\n(con_\w+ .*\n?){2}$/,
      )
      expect(ran.stdout).toMatch(new RegExp(`^${well.id}  well: connected$`, 'm'))
      expect(ran.stdout).toMatch(new RegExp(`^${dead.id}  dead: reconnect_needed\\. .*\\[`, 'm'))
      expect(ran.stdout).not.toContain(off.id)
    }
    const { json } = await run(['connection', 'check', '--json'])
    expect(json).toMatchObject({ checked: 2, states: { connected: 1, reconnect_needed: 1 } })
    expect(json.connections).toHaveLength(2)
  })

  test('watch: checks what is due, tells, and ends with its signal', async () => {
    const { org, add, receiver, home } = await open()
    const { id, grant } = await add()
    const body = new URLSearchParams({ token: grant.deleteToken })
    await fetch(`${org.url}/services/oauth2/revoke`, { method: 'POST', body })
    const { DatabaseSync } = await import('node:sqlite')
    using raw = new DatabaseSync(join(home, 'rescind.db'))
    raw.exec('UPDATE connection SET due_at = 1')
    const stop = new AbortController()
    const env = { HOOK: `whsec_${WEBHOOK}` }
    const watching = rescind(['connection', 'watch'], { home, env, signal: stop.signal })
    await expect.poll(() => receiver.taken.length, { timeout: 20_000 }).toBe(1)
    stop.abort()
    const { exitCode, stderr } = await watching
    expect(exitCode).toBe(0)
    expect(stderr).toMatch(new RegExp(`${id} +acme: reconnect_needed`))
  })

  test('watch: tells of what it cannot check, and the list does not show it as well', async () => {
    const { add, home, run } = await open()
    const { id } = await add()
    const config = join(home, 'rescind.yaml')
    writeFileSync(config, readFileSync(config, 'utf8').replace('  org:', '  renamed:'))
    const { DatabaseSync } = await import('node:sqlite')
    using raw = new DatabaseSync(join(home, 'rescind.db'))
    raw.exec('UPDATE connection SET due_at = 1')
    const stop = new AbortController()
    const env = { HOOK: `whsec_${WEBHOOK}` }
    let said = 0
    const onStderr = () => {
      said += 1
      if (said === 2) stop.abort()
    }
    const watching = rescind(['connection', 'watch'], { home, env, signal: stop.signal, onStderr })
    const { stderr } = await watching
    expect(stderr).toContain(`The connection ${id} could not be checked. There is no tenant "org".`)
    expect((await run(['connection', 'list'])).stdout).toMatch(/degraded +not_configured/)
  })

  test.each([
    ["rotation: 'on'", 'rotation: nevr', /Tenant "org".*rotation/],
    ['redirectUri: http', 'redirectUri: nope, #', /tenants\.org\.app\.redirectUri/],
    ['provider: salesforce', 'provider: salesfarce', /tenants\.org\.provider: .*salesfarce/],
    ['provider: salesforce', 'provider: rfc7009', /tenant "org"/i],
    ['url: http', 'url: nope', /url of tenant "org"/],
  ])('watch and serve refuse %s as %s with one sentence', async (good, wrong, sentence) => {
    const { home, run } = await open()
    const config = join(home, 'rescind.yaml')
    writeFileSync(config, readFileSync(config, 'utf8').replace(good, wrong))
    for (const command of [['connection', 'watch'], ['serve']]) {
      const { exitCode, stdout, stderr } = await run(command)
      expect([exitCode, stdout]).toEqual([2, ''])
      expect(stderr).toMatch(sentence)
      expect(stderr.trim().split('\n')).toHaveLength(1)
    }
  })
})
