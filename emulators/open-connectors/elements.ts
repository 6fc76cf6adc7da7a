/** One element of the catalogue: a vendor that instances connect to. */
export interface Element {
  readonly id: number
  readonly key: string
  readonly name: string
  readonly hookName: string
  readonly hub: string
  readonly description: string
}

/** The elements that this account knows: those of which Salesforce is the provider. */
const ELEMENTS: readonly Element[] = [
  {
    id: 23,
    key: 'sfdc',
    name: 'Salesforce Sales Cloud',
    hookName: 'Salesforce',
    hub: 'crm',
    description: 'Add a Salesforce Sales Cloud instance to connect an existing org to the CRM hub.',
  },
  {
    id: 29,
    key: 'sfdcservicecloud',
    name: 'Salesforce Service Cloud',
    hookName: 'SalesforceServiceCloud',
    hub: 'helpdesk',
    description: 'Add a Salesforce Service Cloud instance to connect an existing org.',
  },
]

/** Finds an element by its key or its id. */
export function findElement(keyOrId: string): Element | undefined {
  return ELEMENTS.find(({ id, key }) => key === keyOrId || String(id) === keyOrId)
}

/** Gives an element as an instance shows it. */
export function describeElement(element: Element): Record<string, unknown> {
  return {
    ...element,
    image: `elements/provider_${element.key}.png`,
    active: true,
    deleted: false,
    typeOauth: false,
    trialAccount: false,
    configDescription: 'If you have no Salesforce account, you can create one at Salesforce.',
    signupURL: 'http://www.salesforce.com',
    transformationsEnabled: true,
    bulkDownloadEnabled: true,
    bulkUploadEnabled: true,
    cloneable: true,
    extendable: true,
    beta: false,
    authentication: { type: 'oauth2' },
    protocolType: 'http',
    parameters: [],
    private: false,
  }
}
