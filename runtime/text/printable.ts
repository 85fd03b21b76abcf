/**
 * Text from outside as a terminal may show it: labels, names of devices and models, what a peer says of an error. It must not
 * move the cursor, set colours, begin lines of its own or turn what stands beside it around.
 */

/** C0 and C1, which ANSI sequences begin with; line and paragraph separators; marks that set a direction. */
const CONTROLS = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu
const RUNS = new RegExp(`${CONTROLS.source}+`, 'gu')
/** What a line may hold, so that a peer's words cannot push all others off a screen. */
const LINE_CHARS_MAX = 2000

/** One line of text, each run of controls a space. */
export function printable(text: string): string {
  const line = text.replace(RUNS, ' ')
  return line.length > LINE_CHARS_MAX ? `${line.slice(0, LINE_CHARS_MAX)}…` : line
}

/** Lines of text, line ends and tabs kept, other controls written as JSON writes them: a JSON text still says the same. */
export function printableLines(text: string): string {
  return text.replace(CONTROLS, (control) => (
    control === '\n' || control === '\t' ? control : `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`))
}
