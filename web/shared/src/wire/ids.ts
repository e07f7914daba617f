/**
 * Identifiers: one brand per noun, so that a session id cannot be passed where a connection's path
 * is meant; twin of `signaling/protocol/src/ids.rs` as far as a browser meets them.
 *
 * Ids are lower-case UUIDs with dashes. The link token is not an id: it is a secret with its own
 * brand, held in memory only and never written into a URL that reaches a server.
 */

declare const brand: unique symbol;
type Branded<T, Name extends string> = T & { readonly [brand]: Name };

/** What a person sees as "my device is running". */
export type SessionId = Branded<string, 'SessionId'>;
/** The 256-bit secret of a link, base64url. */
export type LinkToken = Branded<string, 'LinkToken'>;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** 32 bytes are 43 characters of base64url; the slack lets a server choose longer tokens. */
const LINK_TOKEN = /^[A-Za-z0-9_-]{20,128}$/;

/** The id, if the text is one. */
export function parseSessionId(text: string): SessionId | null {
  return UUID.test(text) ? (text as SessionId) : null;
}

/** The token, if the text can be one. */
export function parseLinkToken(text: string): LinkToken | null {
  return LINK_TOKEN.test(text) ? (text as LinkToken) : null;
}
