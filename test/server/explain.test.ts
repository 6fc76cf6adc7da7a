import { describe, expect, it } from 'vitest'
import { postgresKind, SQLITE } from '../store/authority/kinds.ts'
import { findPostgres, newDatabase } from '../support/postgres-database.ts'
import {
  code,
  granted,
  handClock,
  issue,
  openWorld,
  redeem,
  revoke,
  rotate,
  type World,
} from './core-world.ts'

const ADMIN = { actor: 'admin', request: 'req-7' }
const EVENTS_KEPT_MS = 86_400_000

const { missing } = await findPostgres()
const KINDS = [SQLITE, ...(missing === undefined ? [postgresKind(newDatabase)] : [])]

// Skipped only where no PostgreSQL can be started: the title says why.
if (missing !== undefined) it.skip(`explain on PostgreSQL${missing}`)

async function reasons({ core }: World, token: string) {
  const explained = await core.explain(token)
  const { state, death, cause, actor, request, cascade } = explained ?? {}
  return { state, death, cause, actor, request, cascade }
}

describe('explain: why a token is dead, by which cascade and request', () => {
  it('one that is alive', async () => {
    await using world = await openWorld()
    const { access_token } = await issue(world)
    const explained = await world.core.explain(access_token)
    expect(explained).toMatchObject({
      ...{ state: 'alive', death: null, at: null, cause: null, kind: 'access' },
      ...{ clientId: 'app', userId: 'ada', cascade: 'The access token is alive.' },
    })
    expect(await world.core.explain(explained?.fingerprint ?? '')).toEqual(explained)
  })

  it('one that its client revoked, and its sibling that died with the grant', async () => {
    await using world = await openWorld()
    const { access_token, refresh_token } = await issue(world)
    world.clock.advance(5)
    await revoke(world, refresh_token)
    const told = { state: 'dead', death: 'grant_ended', cause: 'revocation_endpoint' }
    expect(await reasons(world, refresh_token)).toMatchObject({
      ...{ ...told, actor: 'client:app' },
      cascade:
        'The refresh token was revoked, and its whole grant with it: its client asked at the revocation endpoint (client:app).',
    })
    expect(await reasons(world, access_token)).toMatchObject({
      ...told,
      cascade: expect.stringMatching(/^The access token died with its grant \d+: /),
    })
    const explained = await world.core.explain(access_token)
    expect(explained?.at).toEqual(new Date(world.clock.now()))
    expect(explained?.eventId).toMatch(/^evt_/)
  })

  it('an access token that was revoked alone, which a foreign try does not explain', async () => {
    await using world = await openWorld()
    const { access_token } = await issue(world)
    await revoke(world, access_token, world.other)
    await revoke(world, access_token)
    expect(await reasons(world, access_token)).toMatchObject({
      ...{ death: 'revoked', cause: 'revocation_endpoint', actor: 'client:app' },
      cascade: expect.stringMatching(/^The access token alone was revoked: /),
    })
  })

  it('one of a client that was disabled', async () => {
    await using world = await openWorld()
    const { refresh_token } = await issue(world)
    world.clock.advance(1)
    await world.core.clients.disable('app', ADMIN)
    expect(await reasons(world, refresh_token)).toMatchObject({
      ...{ state: 'dead', death: 'marked', cause: 'client_disabled', ...ADMIN },
      cascade:
        'The refresh token died with all of the client app: the client was disabled (admin).',
    })
  })

  it.each([
    [{ user: 'ada' }, 'all of the user ada'],
    [{ user: 'ada', client: 'app' }, 'all of the user ada at the client app'],
    [{ client: 'app' }, 'all of the client app'],
    [{ session: 's 1' }, 'the session s 1'],
  ])('a mark on %o', async (reach, words) => {
    await using world = await openWorld()
    const { access_token } = await issue(world, { session: 's 1' })
    world.clock.advance(1)
    // Another's revocation in the same moment is not taken for it.
    await world.core.revoking.reach({ user: 'bob' }, 'library', { actor: 'library' })
    await world.core.revoking.reach(reach, 'admin', ADMIN)
    expect(await reasons(world, access_token)).toMatchObject({
      ...{ state: 'dead', death: 'marked', cause: 'admin', ...ADMIN },
      cascade: `The access token died with ${words}: an administrator asked (admin).`,
    })
  })

  it('all that was issued before a moment; of two marks the first', async () => {
    await using world = await openWorld()
    const { access_token } = await issue(world)
    world.clock.advance(60)
    const issuedBefore = new Date(world.clock.now())
    await world.core.revoking.reach({ issuedBefore }, 'command_line', { actor: 'operator' })
    const at = new Date(world.clock.now())
    world.clock.advance(60)
    await world.core.revoking.reach({ user: 'ada' }, 'admin', ADMIN)
    const explained = await world.core.explain(access_token)
    expect(explained).toMatchObject({ death: 'marked', at, cause: 'command_line' })
    expect(explained?.cascade).toContain(
      `died with all that was granted before ${issuedBefore.toISOString()}: `,
    )
  })

  it.each([
    [{ client: 'app' }, 'all of the client app'],
    [{ user: 'ada' }, 'all of the user ada'],
    [{ user: 'ada', client: 'app' }, 'all of the user ada at the client app'],
  ])(
    'a mark on %o before a moment, which its younger tokens live through',
    async (reach, words) => {
      await using world = await openWorld()
      const { access_token } = await issue(world)
      world.clock.advance(60)
      const issuedBefore = new Date(world.clock.now())
      const younger = await issue(world)
      world.clock.advance(60)
      // An older moment, set in the same one, is not what killed it.
      const earlier = new Date(world.clock.now() - 600_000)
      const other = { actor: 'other' }
      await world.core.revoking.reach({ ...reach, issuedBefore: earlier }, 'library', other)
      await world.core.revoking.reach({ ...reach, issuedBefore }, 'admin', ADMIN)
      expect(await reasons(world, access_token)).toMatchObject({
        ...{ state: 'dead', death: 'marked', cause: 'admin', ...ADMIN },
        cascade: `The access token died with ${words} that was granted before ${issuedBefore.toISOString()}: an administrator asked (admin).`,
      })
      expect(await reasons(world, younger.access_token)).toMatchObject({ state: 'alive' })
    },
  )

  it('a family whose refresh token was reused, and the codes and tokens that were used up', async () => {
    await using world = await openWorld()
    const first = await issue(world)
    const second = granted(await rotate(world, first.refresh_token))
    expect(await reasons(world, first.refresh_token)).toMatchObject({
      ...{ death: 'used', cause: 'refresh' },
      cascade: 'The refresh token was changed into the next one; it works once.',
    })
    world.clock.advance(60)
    await rotate(world, first.refresh_token)
    expect(await reasons(world, second.refresh_token)).toMatchObject({
      ...{ death: 'grant_ended', cause: 'refresh_reuse' },
    })
    const spent = await code(world)
    await redeem(world, spent)
    expect(await reasons(world, spent)).toMatchObject({ death: 'used', cause: 'code' })
  })

  it('one that expired, one of another process, and none at all', async () => {
    await using world = await openWorld()
    const { access_token } = await issue(world)
    const explained = await world.core.explain(access_token)
    world.clock.advance(601)
    expect(await reasons(world, access_token)).toMatchObject({
      ...{ death: 'expired', cause: null },
      cascade: 'The access token expired; nobody revoked it.',
    })
    const forged = `${explained?.fingerprint.slice(0, -2)}00`
    for (const unknown of ['', 'nonsense', 'fp_0', `fp_${'f'.repeat(24)}`, forged]) {
      expect(await world.core.explain(unknown)).toBeNull()
    }
  })
})

/** The ways to die; each is told who asks. */
const DEATHS = {
  'its revocation': ({ core }: World, access: string, actor: string) =>
    core.revoking.token({ token: access, clientId: 'app', asked: { actor } }),
  'the end of its grant': async ({ core }: World, access: string, actor: string) => {
    const grant = (await core.explain(access))?.grantId ?? 0
    await core.revoking.reach({ grant }, 'admin', { actor })
  },
  'a mark on its user': ({ core }: World, _access: string, actor: string) =>
    core.revoking.reach({ user: 'ada' }, 'admin', { actor }),
  'a mark on its client': ({ core }: World, _access: string, actor: string) =>
    core.revoking.reach({ client: 'app' }, 'admin', { actor }),
  'a mark on its session': ({ core }: World, _access: string, actor: string) =>
    core.revoking.reach({ session: 's 1' }, 'admin', { actor }),
  'a mark on all before a moment': ({ core, clock }: World, _access: string, actor: string) =>
    core.revoking.reach({ issuedBefore: new Date(clock.now()) }, 'admin', { actor }),
  'its expiry': async ({ clock }: World) => clock.advance(600),
}
type Way = keyof typeof DEATHS
const WAYS = Object.keys(DEATHS) as Way[]
const PAIRS = WAYS.flatMap((first) => WAYS.map((second) => ({ first, second })))

describe.each(KINDS)('explain: a token that died twice, on $name', (kind) => {
  const openOn = async () => {
    const place = await kind.create()
    // Its clock stands still: nothing is forgotten.
    const options = { clock: handClock(), eventsKeptMs: EVENTS_KEPT_MS }
    const world = await openWorld({ store: await place.open(options) })
    const close = () => world[Symbol.asyncDispose]().then(() => place.remove())
    return { ...world, [Symbol.asyncDispose]: close }
  }

  it.each(PAIRS)('$first, then $second: the first is told', async ({ first, second }) => {
    await using world = await openOn()
    const { access_token } = await issue(world, { session: 's 1' })
    world.clock.advance(1)
    await DEATHS[first](world, access_token, 'the first')
    const told = await world.core.explain(access_token)
    const hasAsker = first !== 'its expiry'
    expect(told).toMatchObject({ state: 'dead', actor: hasAsker ? 'the first' : null })
    if (hasAsker) expect(told?.at).toEqual(new Date(world.clock.now()))
    world.clock.advance(8)
    await DEATHS[second](world, access_token, 'the second')
    expect(await world.core.explain(access_token)).toEqual(told)
  })

  it('a mark that was set before its grant began, and twice after: the first of those', async () => {
    await using world = await openOn()
    const mark = async (actor: string) => {
      world.clock.advance(60)
      await world.core.revoking.reach({ user: 'ada' }, 'admin', { actor })
      return new Date(world.clock.now())
    }
    await mark('before')
    const { access_token } = await issue(world)
    const at = await mark('the first')
    await mark('the second')
    expect(await world.core.explain(access_token)).toMatchObject({ at, actor: 'the first' })
  })

  it('a refresh token that was used up, and then its grant ended', async () => {
    await using world = await openOn()
    const { refresh_token } = await issue(world)
    world.clock.advance(1)
    await rotate(world, refresh_token)
    const told = await world.core.explain(refresh_token)
    world.clock.advance(60)
    await rotate(world, refresh_token)
    expect(await world.core.explain(refresh_token)).toEqual(told)
    expect(told).toMatchObject({ death: 'used', cause: 'refresh' })
  })
})
