import type { z } from 'zod'
import {
  appliedShape,
  codeShape,
  connectionShape,
  connectionsShape,
  disconnectedShape,
  errorShape,
  eventsQuery,
  eventsShape,
  linkShape,
  listQuery,
  newConnectionShape,
} from './shapes.ts'

/** What the API does, by name. */
export type Operation =
  | 'openapi'
  | 'callback'
  | 'list'
  | 'create'
  | 'feed'
  | 'applyCode'
  | 'read'
  | 'disconnect'
  | 'link'
  | 'enable'
  | 'disable'
  | 'events'

/** An answer as the document promises it; a null shape is HTML or any JSON. */
export interface Promised {
  readonly says: string
  readonly shape: z.ZodType | null
  readonly type?: 'text/html' | undefined
}

/** One route: the document and the handlers are both made of this, so that they cannot differ. */
export interface Route {
  readonly method: 'get' | 'post' | 'delete'
  /** Below the base path; `{id}` is the connection. */
  readonly path: string
  readonly summary: string
  /** Open to who has no key. */
  readonly isPublic?: boolean
  readonly query?: z.ZodObject
  readonly body?: z.ZodObject
  readonly answers: Readonly<Record<number, Promised>>
}

const json = (says: string, shape: z.ZodType | null): Promised => ({ says, shape })
const page = (says: string): Promised => ({ says, shape: null, type: 'text/html' })

const KEYED = {
  401: json('The key is missing or not known', errorShape),
  500: json('Something went wrong here', errorShape),
  503: json('The store is in trouble', errorShape),
}
const BAD = { 400: json('Something in the request is wrong', errorShape) }
const LARGE = { 413: json('The body is too large', errorShape) }
const BODY = {
  ...LARGE,
  415: json('The body is not application/json', errorShape),
}
const NONE = { 404: json('There is no such connection', errorShape) }
const NOT_NOW = { 409: json('The connection is not in a state for it', errorShape) }
const NO_PROVIDER = { 502: json('The provider did not answer, or not well', errorShape) }
const CONNECTION = { 200: json('The connection', connectionShape) }

/** Fixed paths stand before `{id}`. */
export const ROUTES: Readonly<Record<Operation, Route>> = {
  openapi: {
    ...{ method: 'get', path: '/openapi.json', isPublic: true },
    summary: 'This document',
    answers: { 200: json('OpenAPI 3.1', null) },
  },
  callback: {
    ...{ method: 'get', path: '/callback', isPublic: true },
    summary: 'Where a provider sends the owner back; a page for a person',
    answers: {
      200: page('The connection has a new grant, or the owner said no'),
      400: page('The state is of no link of ours, or the answer not of the right server'),
      403: page('The grant is not the one of before'),
      409: page('The link or its code was used before, or the connection is no more'),
      410: page('The link ran out'),
      502: page('The provider did not answer, or refused us'),
      503: page('Something is wrong on our side: the new grant was not stored'),
    },
  },
  list: {
    ...{ method: 'get', path: '', query: listQuery },
    summary: 'List connections, oldest first',
    answers: { 200: json('A page', connectionsShape), ...BAD, ...KEYED },
  },
  create: {
    ...{ method: 'post', path: '', body: newConnectionShape },
    summary: 'Make a connection without a grant; its first link brings one',
    answers: { 201: json('The connection', connectionShape), ...BAD, ...BODY, ...KEYED },
  },
  feed: {
    ...{ method: 'get', path: '/events', query: eventsQuery },
    summary: 'What happened to all connections, oldest first',
    answers: { 200: json('A page', eventsShape), ...BAD, ...KEYED },
  },
  applyCode: {
    ...{ method: 'post', path: '/code', body: codeShape },
    summary: 'Apply what came to a callback of your own; the state says for which connection',
    answers: {
      200: json('The connection, with its new grant', appliedShape),
      ...BAD,
      ...BODY,
      ...KEYED,
      403: json('Another person, another organization, or fewer scopes', errorShape),
      409: json('The state or the code was used before, or the owner said no', errorShape),
      410: json('The link ran out', errorShape),
      ...NO_PROVIDER,
      503: json('The store is in trouble, or did not take the new grant', errorShape),
    },
  },
  read: {
    ...{ method: 'get', path: '/{id}' },
    summary: 'Read a connection; never its tokens',
    answers: { ...CONNECTION, ...KEYED, ...NONE },
  },
  disconnect: {
    ...{ method: 'delete', path: '/{id}' },
    summary: 'Revoke a connection at its provider, and keep a tombstone',
    answers: {
      200: json('What the provider said of it', disconnectedShape),
      ...LARGE,
      ...KEYED,
      ...NONE,
    },
  },
  link: {
    ...{ method: 'post', path: '/{id}/reconnect-link' },
    summary: 'Make a link for the owner, good once and for a day',
    answers: {
      201: json('The link', linkShape),
      ...BAD,
      ...LARGE,
      ...KEYED,
      ...NONE,
      ...NOT_NOW,
      ...NO_PROVIDER,
    },
  },
  enable: {
    ...{ method: 'post', path: '/{id}/enable' },
    summary: 'Let a disabled connection be used again',
    answers: { ...CONNECTION, ...LARGE, ...KEYED, ...NONE, ...NOT_NOW },
  },
  disable: {
    ...{ method: 'post', path: '/{id}/disable' },
    summary: 'Stop the use of a connection; its grant stays',
    answers: { ...CONNECTION, ...LARGE, ...KEYED, ...NONE, ...NOT_NOW },
  },
  events: {
    ...{ method: 'get', path: '/{id}/events', query: eventsQuery },
    summary: 'What happened to one connection, oldest first',
    answers: { 200: json('A page', eventsShape), ...BAD, ...KEYED, ...NONE },
  },
}
