import { Secret } from '../../core/secret.ts'

/**
 * What a handle is good for: `delete`, the DeleteToken of a row of OauthToken; `usage`, a token id of
 * the usage API of external client apps; `session`, the id of an AuthSession.
 */
export type HandleKind = 'delete' | 'usage' | 'session'

export interface Handle {
  readonly kind: HandleKind
  readonly value: Secret
}

const KINDS: readonly HandleKind[] = ['delete', 'usage', 'session']

/** Joins a vendor's handle with the call that it is for. */
export function makeHandle(kind: HandleKind, value: string): Secret {
  return new Secret(`${kind}:${value}`)
}

/** Reads what {@link makeHandle} wrote; undefined for anything else. */
export function parseHandle(handle: Secret): Handle | undefined {
  const text = handle.reveal()
  const kind = KINDS.find((known) => text.startsWith(`${known}:`))
  return kind && { kind, value: new Secret(text.slice(kind.length + 1)) }
}
