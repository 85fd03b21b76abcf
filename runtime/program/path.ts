/** Paths as text, with `/` between names, which every host's files understand. */

/** Names after one another; an absolute one begins anew. */
export function joinPath(...parts: readonly string[]): string {
  return parts.filter((part) => part !== '').reduce((path, part) => (part.startsWith('/') ? part : `${path.replace(/\/+$/, '')}/${part}`))
}

/** The directory that holds `path`: `.` above a single name, `/` above itself. */
export function parentOf(path: string): string {
  const trimmed = path.replace(/(?<=.)\/+$/, '')
  const slash = trimmed.lastIndexOf('/')
  if (slash < 0) return '.'
  return slash === 0 ? '/' : trimmed.slice(0, slash)
}

/** The last name of a path, without `ending`. */
export function nameOf(path: string, ending = ''): string {
  const name = path.replace(/(?<=.)\/+$/, '').split('/').at(-1) ?? ''
  return ending !== '' && name !== ending && name.endsWith(ending) ? name.slice(0, -ending.length) : name
}
