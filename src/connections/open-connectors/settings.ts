import type { Secret } from '../../core/secret.ts'

/**
 * What the vendor's documentation leaves open, or says in two ways. Each can be set, for a tenant may
 * show that the other is true.
 */
export interface OpenConnectorsSwitches {
  /**
   * Which way a new code is applied: both ways are documented, by two pages of the vendor's.
   * `patch-then-put` takes the second with a fresh code when the first is refused.
   */
  readonly apply: 'patch-then-put' | 'patch' | 'put'
  /** How PATCH names the instance: by the element token, as the article does, or by its id. */
  readonly patchBy: 'token' | 'id'
  /** Which secrets go with a call through an instance: samples show it with and without the organization. */
  readonly elementHeader: 'user-organization-element' | 'user-element'
  /**
   * Whether `providerMessage` tells the provider's no from the platform's: inferred from the samples.
   * When it is not trusted, a 401 is judged by calls alone.
   */
  readonly providerMessage: 'trusted' | 'ignored'
  /**
   * Whether the callback must bring our `state` back. Not every element is documented to echo it: with
   * `if-echoed` a callback without any is taken for the flow that is pending.
   */
  readonly state: 'required' | 'if-echoed'
  /** Whether a `client_secret` in the consent URL, which samples show, is taken out before anybody sees it. */
  readonly clientSecretInUrl: 'removed' | 'kept'
}

export const DEFAULT_OPEN_CONNECTORS_SWITCHES: OpenConnectorsSwitches = {
  apply: 'patch-then-put',
  patchBy: 'token',
  elementHeader: 'user-organization-element',
  providerMessage: 'trusted',
  state: 'required',
  clientSecretInUrl: 'removed',
}

/** Our registration at an element's provider, as Open Connectors is told of it. */
export interface ElementApp {
  readonly apiKey: string
  readonly apiSecret: Secret
  readonly scope: string | null
  /** Another login host: `https://test.salesforce.com` for a sandbox. */
  readonly siteAddress: string | null
  /** A cheap read through an instance: `/hubs/crm/accounts?pageSize=1`. */
  readonly probePath: string
  /** Where consent may be asked for: hosts that the vendor's URL may lead to; empty for any. */
  readonly consentHosts: readonly string[]
  /** Secrets of an instance's configuration that the platform shows masked, by key. */
  readonly secrets: Readonly<Record<string, Secret>>
}

/** An account of Open Connectors, or of Cloud Elements. */
export interface OpenConnectorsSettings {
  /** `https://api.openconnectors.us2.ext.hana.ondemand.com/elements/api-v2`, without a slash at its end. */
  readonly url: string
  readonly userSecret: Secret
  readonly organizationSecret: Secret
  /** Where the provider sends the owner's browser: registered at the provider. */
  readonly callbackUrl: string
  /** By the key of the element: `sfdc`. */
  readonly elements: Readonly<Record<string, ElementApp>>
  readonly switches: OpenConnectorsSwitches
}
