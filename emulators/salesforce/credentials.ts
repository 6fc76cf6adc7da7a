import { type App, ROLE_APP } from './apps.ts'
import { type Org, openSession } from './org.ts'
import type { SigningKeys } from './signing-keys.ts'
import { ROLE_USER } from './users.ts'

/** A user's way in by password. */
export interface PasswordCredentials {
  readonly userId: string
  readonly username: string
  readonly password: string
  readonly securityToken: string
}

/** An app's own credentials. */
export interface ClientCredentials {
  readonly clientId: string
  readonly clientSecret: string
  /** Its label, by which OauthToken lists its grants. */
  readonly appName: string
}

/** Ready-made ways into an org, for tests and demos. All of them are secrets of the emulated org only. */
export interface SalesforceCredentials {
  /** Has every permission. */
  readonly admin: PasswordCredentials
  /** Lacks Customize Application: sees only its own tokens. No generated grant is of its for `connected` or `rotating`. */
  readonly limited: PasswordCredentials
  /** A connected app with client credentials, which runs as a user with every permission. */
  readonly integration: {
    readonly clientId: string
    readonly clientSecret: string
    readonly username: string
  }
  /** A connected app that takes JWT bearer assertions for this user. */
  readonly jwt: {
    readonly clientId: string
    readonly username: string
    readonly privateKeyPem: string
  }
  /** The tool's own app: public, with loopback callbacks. */
  readonly tool: ClientCredentials
  /** A confidential app with loopback callbacks, as an integration platform registers one. */
  readonly connected: ClientCredentials
  /** Another one, whose refresh tokens work once. */
  readonly rotating: ClientCredentials
  /** The refresh token of the tool's own grant, by the admin. */
  readonly refreshToken: string
  /** The delete token of that grant: a sweep must spare it. */
  readonly ownDeleteToken: string
  /** A live access token of that grant. */
  readonly accessToken: string
  /** A live access token of the tool's app for the limited user, with no refresh token behind it. */
  readonly limitedAccessToken: string
}

/** Makes the credentials of an org, and opens the two sessions among them. */
export function createCredentials(org: Org, keys: SigningKeys): SalesforceCredentials {
  const [tool, warehouse, deployer] = [
    org.apps[ROLE_APP.tool]!,
    org.apps[ROLE_APP.warehouse]!,
    org.apps[ROLE_APP.deployer]!,
  ]
  const open = (user: number, grant: number): string =>
    openSession(org, {
      user,
      app: tool.index,
      grant,
      origin: grant < 0 ? 'OauthUsernamePassword' : 'OauthRefreshToken',
      scope: 'api web id',
      createdMs: org.now(),
    }).token
  return {
    admin: passwordOf(org, ROLE_USER.admin),
    limited: passwordOf(org, ROLE_USER.limited),
    integration: {
      clientId: warehouse.clientId,
      clientSecret: warehouse.clientSecret,
      username: org.users[ROLE_USER.integration]!.username,
    },
    jwt: {
      clientId: deployer.clientId,
      username: org.users[ROLE_USER.admin]!.username,
      get privateKeyPem() {
        return keys.assertion().privateKeyPem
      },
    },
    tool: clientOf(tool),
    connected: clientOf(org.apps[ROLE_APP.dataSync]!),
    rotating: clientOf(org.apps[ROLE_APP.rotating]!),
    refreshToken: org.codec.encode('refresh', org.toolGrant, 0),
    ownDeleteToken: org.codec.encode('delete', org.toolGrant, 0),
    accessToken: open(ROLE_USER.admin, org.toolGrant),
    limitedAccessToken: open(ROLE_USER.limited, -1),
  }
}

function clientOf({ clientId, clientSecret, label }: App): ClientCredentials {
  return { clientId, clientSecret, appName: label }
}

function passwordOf(org: Org, index: number): PasswordCredentials {
  const { id, username, password, securityToken } = org.users[index]!
  return { userId: id, username, password, securityToken }
}
