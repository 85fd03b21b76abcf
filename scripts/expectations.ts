/**
 * Leaves out of a bundle what the table's cases expect in float64 (runtime/cases/): only the tests have an oracle, and
 * what a device loads or keeps in its flash has no use for it.
 */
import { readFileSync } from 'node:fs'
import type { Node, Property } from 'acorn'
import { parse } from 'acorn'
import type { Plugin } from 'esbuild'
import { transformSync } from 'esbuild'

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string'
}

function isExpectation(node: Node): boolean {
  const { key, value } = node as Property
  return node.type === 'Property' && key.type === 'Identifier' && key.name === 'expect' && value.type !== 'Identifier'
}

/** Every `expect` of an object literal. */
function findExpectations(node: Node): Node[] {
  return isExpectation(node) ? [node] : Object.values(node).flat().filter(isNode).flatMap(findExpectations)
}

function cut(source: string): string {
  const { code } = transformSync(source, { loader: 'ts' })
  const found = findExpectations(parse(code, { ecmaVersion: 'latest', sourceType: 'module' }))
  return found.reduceRight((text, { start, end }) => text.slice(0, start) + text.slice(end).replace(/^\s*,/, ''), code)
}

export const withoutExpectations: Plugin = {
  name: 'without expectations',
  setup({ onLoad }) {
    onLoad({ filter: /[\\/]runtime[\\/]cases[\\/]\w+\.ts$/ }, ({ path }) => ({ contents: cut(readFileSync(path, 'utf8')), loader: 'js' }))
  },
}
