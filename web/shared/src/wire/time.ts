/**
 * Units that cross file boundaries as types: times of the page and of the gateway, the picture's
 * generation, fractions of a picture; twin of `signaling/protocol/src/units.rs`.
 *
 * Nothing here reads a clock: `now` comes from whoever owns an event or a timer.
 */

declare const brand: unique symbol;
type Branded<Name extends string> = number & { readonly [brand]: Name };

/** Milliseconds on the page's clock (`performance.now`, `event.timeStamp`), with fractions. */
export type PageMs = Branded<'PageMs'>;
/** Microseconds since 1970 on the gateway's clock. */
export type GatewayUs = Branded<'GatewayUs'>;
/** Counts the sizes a picture has had in one connection; wraps at 65 536, so the newer of two is less than half of that ahead. */
export type Generation = Branded<'Generation'>;
/** A position along one axis of a picture: 0 is the left or top edge, 65 535 the last step before the other. */
export type Fraction = Branded<'Fraction'>;

/** Brands a reading of the page's clock. */
export const pageMs = (value: number): PageMs => value as PageMs;
/** Brands a reading of the gateway's clock. */
export const gatewayUs = (value: number): GatewayUs => value as GatewayUs;
/** Brands a generation. */
export const generation = (value: number): Generation => value as Generation;
/** Brands a fraction, 0 to 65 535. */
export const fraction = (value: number): Fraction => value as Fraction;

/** The pixel under a fraction in a picture `size` pixels long: what the agent will compute. */
export function pixel(at: Fraction, size: number): number {
  return Math.floor((at * size) / 65536);
}
