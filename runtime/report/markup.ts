/** HTML that is escaped by construction: text becomes markup only by going through `html`. */

/** A piece of finished HTML. Only `html` and `trust` make one. */
export class Markup {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

export type Content = string | number | Markup | readonly Content[]

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

/** Template tag: strings and numbers are escaped for text and for quoted attributes, markup goes in as it is, lists are joined. */
export function html(strings: TemplateStringsArray, ...values: readonly Content[]): Markup {
  return new Markup(strings.map((literal, index) => (index === 0 ? literal : render(values[index - 1]) + literal)).join(''))
}

/** Declares text to be HTML already. For the page's own script and style, never for what a user wrote. */
export function trust(text: string): Markup {
  return new Markup(text)
}

/** JavaScript for the inside of a script element: nothing in it can close the element or open a comment. */
export function trustScript(code: string): Markup {
  return trust(code.replace(/<(?=\/script)/gi, '<\\').replaceAll('<!--', '<\\!--'))
}

/** CSS for the inside of a style element. */
export function trustStyle(css: string): Markup {
  return trust(css.replace(/<(?=\/style)/gi, '<\\'))
}

/** A value as JSON for the inside of a script element of type application/json. */
export function trustJson(value: unknown): Markup {
  return trust(JSON.stringify(value).replaceAll('<', '\\u003c'))
}

function render(value: Content): string {
  if (value instanceof Markup) return value.text
  if (typeof value === 'string') return value.replace(/[&<>"']/g, (character) => ENTITIES[character])
  if (typeof value === 'number') return String(value)
  return value.map(render).join('')
}
