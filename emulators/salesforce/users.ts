import { createRandom, type Random } from '../random.ts'
import { PREFIX, recordId } from './record-id.ts'
import { randomText } from './token-codec.ts'

/** The permissions that matter here, by the name they have on a profile. */
export type Permission =
  | 'ApiEnabled'
  | 'CustomizeApplication'
  | 'ManageUsers'
  | 'ModifyAllData'
  | 'ManageRemoteAccess'
  | 'ViewSetup'

export const ALL_PERMISSIONS: readonly Permission[] = [
  'ApiEnabled',
  'CustomizeApplication',
  'ManageUsers',
  'ModifyAllData',
  'ManageRemoteAccess',
  'ViewSetup',
]

/** A profile of the org: its name, and what it permits. */
export interface Profile {
  readonly id: string
  readonly permissionSetId: string
  readonly name: string
  readonly permissions: ReadonlySet<Permission>
}

/** One user of the org. */
export interface User {
  readonly index: number
  readonly id: string
  readonly userLoginId: string
  readonly username: string
  readonly name: string
  readonly firstName: string
  readonly lastName: string
  readonly email: string
  readonly password: string
  readonly securityToken: string
  profile: Profile
  readonly userType: string
  readonly createdMs: number
  lastLoginMs: number | null
  isActive: boolean
  isFrozen: boolean
}

/** The users that have a part to play; the generator fills up the rest. */
export const ROLE_USER = {
  admin: 0,
  limited: 1,
  integration: 2,
  loader: 3,
  left: 4,
  frozen: 5,
} as const
export const USERS_MIN = 8

/** Of a hundred users, how many have left and how many are frozen. */
const INACTIVE_PERCENT = 5
const FROZEN_PERCENT = 1
const DAY_MS = 86_400_000
const DOMAIN = 'acme.example'

const FIRST_NAMES =
  'Ada Aisha Alan Amara Anders Anika Beatriz Bo Carla Chen Clara Daniel Dara Deepa Elif Emre Esther Farid Fatima Felix Greta Hana Hugo Ines Ivan Jamal Jana Joris Kaito Karin Kofi Lars Leila Linh Luca Mara Mateo Mei Milan Nadia Nils Noor Olga Omar Paula Pedro Priya Quentin Rania Ravi Rosa Sami Sara Sven Tara Theo Uma Vera Viktor Wanda Xin Yara Yusuf Zoe'.split(
    ' ',
  )
const LAST_NAMES =
  'Abara Ahmed Almeida Andersen Bauer Becker Bianchi Castro Chen Costa Diallo Dubois Eriksen Fernandez Fischer Garcia Greco Haddad Hansen Hoffmann Ivanova Jansen Johnson Kaya Keller Kim Kowalski Kumar Lambert Larsen Lopez Martin Mendes Meyer Moreau Nakamura Nguyen Novak Okafor Olsen Patel Pereira Petrov Ramos Rossi Sato Schmidt Silva Singh Sorensen Suzuki Tanaka Torres Vargas Vogel Walker Weber Williams Yilmaz Zhang'.split(
    ' ',
  )

/** Makes the profiles; the two named ones differ in Customize Application. */
export function generateProfiles(): readonly Profile[] {
  const profile = (ordinal: number, name: string, permissions: readonly Permission[]): Profile => ({
    id: recordId(PREFIX.profile, ordinal),
    permissionSetId: recordId(PREFIX.permissionSet, ordinal),
    name,
    permissions: new Set(permissions),
  })
  return [
    profile(1, 'System Administrator', ALL_PERMISSIONS),
    profile(2, 'Standard User', ['ApiEnabled']),
    profile(3, 'Integration Administrator', ALL_PERMISSIONS),
    profile(4, 'Sales User', ['ApiEnabled']),
  ]
}

/** Gives one user a permission or takes it away, by a profile that differs in nothing else. */
export function setPermission(user: User, permission: Permission, isGiven: boolean): void {
  const { profile } = user
  const others = [...profile.permissions].filter((one) => one !== permission)
  user.profile = { ...profile, permissions: new Set(isGiven ? [...others, permission] : others) }
}

/** Makes the users: four with a part to play, then people by seed, some of whom have left. */
export function generateUsers(seed: number, count: number, asOfMs: number): User[] {
  const random = createRandom(seed, 'users')
  const profiles = generateProfiles()
  const taken = new Set<string>()
  const key = Math.imul(seed | 1, 0x01000193)
  return Array.from({ length: Math.max(count, USERS_MIN) }, (_, index) => {
    const person = personOf(index, random, taken)
    const [left, frozen] = fateOf(index, random)
    const createdMs = asOfMs - (900 + random.int(1_200)) * DAY_MS
    return {
      index,
      id: recordId(PREFIX.user, index + 1),
      userLoginId: recordId(PREFIX.userLogin, index + 1),
      ...person,
      name: `${person.firstName} ${person.lastName}`,
      email: person.username,
      password: randomText(key, index * 2, 16),
      securityToken: randomText(key, index * 2 + 1, 24),
      profile: profiles[profileOf(index, random)]!,
      userType: 'Standard',
      createdMs,
      lastLoginMs: asOfMs - random.int(left ? 400 : 30) * DAY_MS - random.int(86_400) * 1_000,
      isActive: !left,
      isFrozen: frozen,
    }
  })
}

/** Tells whether a user has left and whether he is frozen: one of each for certain, the rest by chance. */
function fateOf(index: number, random: Random): readonly [left: boolean, frozen: boolean] {
  const [leaves, freezes] = [random.int(100) < INACTIVE_PERCENT, random.int(100) < FROZEN_PERCENT]
  if (index === ROLE_USER.left) return [true, false]
  if (index <= ROLE_USER.frozen) return [false, index === ROLE_USER.frozen]
  return [leaves, freezes && !leaves]
}

interface Person {
  readonly username: string
  readonly firstName: string
  readonly lastName: string
}

function personOf(index: number, random: Random, taken: Set<string>): Person {
  const role = ROLE_PEOPLE[index]
  if (role !== undefined) return role
  const [firstName, lastName] = [random.pick(FIRST_NAMES), random.pick(LAST_NAMES)]
  const base = `${firstName}.${lastName}`.toLowerCase()
  const username = taken.has(base) ? `${base}${index}@${DOMAIN}` : `${base}@${DOMAIN}`
  taken.add(base)
  return { username, firstName, lastName }
}

const ROLE_PEOPLE: readonly Person[] = [
  { username: `admin@${DOMAIN}`, firstName: 'Ada', lastName: 'Admin' },
  { username: `limited@${DOMAIN}`, firstName: 'Lin', lastName: 'Limited' },
  { username: `integration@${DOMAIN}`, firstName: 'Integration', lastName: 'User' },
  { username: `loader@${DOMAIN}`, firstName: 'Data', lastName: 'Loader' },
]

function profileOf(index: number, random: Random): number {
  if (index === ROLE_USER.admin) return 0
  if (index === ROLE_USER.limited) return 1
  if (index === ROLE_USER.integration) return 2
  return random.int(3) === 0 ? 3 : 1
}
