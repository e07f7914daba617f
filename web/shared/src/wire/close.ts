/**
 * Why a connection ended: one list for the wire and the pages; twin of `signaling/protocol/src/close.rs`.
 *
 * The position in the list is the code on the wire; code 0 has no meaning.
 */

import { WireError } from './bytes';

const REASONS = [
  'client_left',
  'replaced',
  'kicked',
  'link_revoked',
  'link_expired',
  'lease_ended',
  'idle',
  'max_duration',
  'ice_failed',
  'dtls_failed',
  'media_stalled',
  'host_lost',
  'server_shutdown',
  'quota',
  'protocol',
  'setup_failed',
  'error',
] as const;

/** Why a connection ended. */
export type CloseReason = (typeof REASONS)[number];

/** The byte on the wire. */
export function closeCode(reason: CloseReason): number {
  return REASONS.indexOf(reason) + 1;
}

/** The reason for a byte from the wire. */
export function closeReason(code: number): CloseReason {
  const reason = REASONS[code - 1];
  if (reason === undefined) throw new WireError('bad_value');
  return reason;
}

/** The reason with this name, as JSON carries it; null for a name this page does not know yet. */
export function parseCloseReason(name: string): CloseReason | null {
  return REASONS.find((reason) => reason === name) ?? null;
}
