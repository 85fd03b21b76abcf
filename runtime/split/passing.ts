/**
 * Which refusals pass, so that a device comes back instead of ending: all others are final. What is damaged on its way says
 * nothing of who sent it, whoever finds it; what the server holds against a device for now, it does not hold for ever.
 */

/** Found by a CRC, or by a length that is not the prelude's: the link has failed, not its ends. */
const DAMAGE = ['frame-short', 'frame-prelude-crc', 'frame-length', 'frame-body-crc']
/** The server still holds the broken connection, or has left a silent device out until the next interval. */
const FOR_NOW = ['client-taken', 'deadline']

/** Others are asking for what is free, and may not be ready for it. */
const SOON = ['client-pending']

/** Damage without a step done between, before it is taken for what the other side always sends. */
export const DAMAGES_MAX = 8

/** All but `final` pass; `now` only for a device that the server has known before. */
export function passingKind(code: string): 'damage' | 'soon' | 'now' | 'final' {
  if (DAMAGE.includes(code)) return 'damage'
  if (SOON.includes(code)) return 'soon'
  return FOR_NOW.includes(code) ? 'now' : 'final'
}
