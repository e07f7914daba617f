/**
 * Errors of the REST API: RFC 9457 problem documents with our stable `code`.
 *
 * A page decides by `code` only; `detail` is a sentence for a person and may be shown as text.
 */

/** An answer that is not a success. */
export class Problem extends Error {
  /** HTTP status. */
  readonly status: number;
  /** Upper-case stable code; `HTTP_<status>` when the answer was no problem document. */
  readonly code: string;
  /** Seconds from `Retry-After`, if the server named them. */
  readonly retryAfterS: number | null;

  constructor(status: number, code: string, detail: string, retryAfterS: number | null) {
    super(detail);
    this.status = status;
    this.code = code;
    this.retryAfterS = retryAfterS;
  }
}

/** The server could not be reached at all. */
export class Unreachable extends Error {
  constructor(cause: unknown) {
    super('the server cannot be reached', { cause });
  }
}

/** Sends a request; a success is returned, everything else thrown as `Problem` or `Unreachable`. */
export async function request(path: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { cache: 'no-store', ...init });
  } catch (error) {
    if (init.signal?.aborted === true) throw error;
    throw new Unreachable(error);
  }
  if (!response.ok) throw await problem(response);
  return response;
}

async function problem(response: Response): Promise<Problem> {
  const body = (await response.json().catch(() => null)) as { code?: unknown; detail?: unknown } | null;
  const retryAfterS = parseInt(response.headers.get('retry-after') ?? '');
  return new Problem(
    response.status,
    typeof body?.code === 'string' ? body.code : `HTTP_${response.status}`,
    typeof body?.detail === 'string' ? body.detail : '',
    retryAfterS > 0 ? retryAfterS : null,
  );
}
