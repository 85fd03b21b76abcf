/** The names that a script of ES5 takes from outside: read where no function around declares them. */
import { parse } from 'acorn'
import type { AnyNode, Pattern } from 'acorn'

export type Names = { taken: ReadonlySet<string>; declared: ReadonlySet<string> }

type Scope = { names: Set<string>; outer: Scope | null }

function isNode(value: unknown): value is AnyNode {
  return typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string'
}

function childrenOf(node: AnyNode): AnyNode[] {
  return Object.values(node).flatMap((value: unknown) => (Array.isArray(value) ? value : [value])).filter(isNode)
}

const nameOf = (pattern: Pattern): string => (pattern.type === 'Identifier' ? pattern.name : '')

/** Declarations of `var` and function below `node`, not those inside functions. */
function declare(node: AnyNode, names: Set<string>): void {
  if (node.type === 'VariableDeclarator') names.add(nameOf(node.id))
  if (node.type === 'FunctionDeclaration') names.add(node.id?.name ?? '')
  if (node.type === 'FunctionDeclaration' || node.type === 'FunctionExpression') return
  for (const child of childrenOf(node)) declare(child, names)
}

/** Throws where `script` is not ES5. */
export function readNames(script: string): Names {
  const program = parse(script, { ecmaVersion: 5, sourceType: 'script' })
  const top: Scope = { names: new Set(), outer: null }
  for (const statement of program.body) declare(statement, top.names)
  const taken = new Set<string>()
  const visit = (node: AnyNode, scope: Scope): void => {
    if (node.type === 'FunctionDeclaration' || node.type === 'FunctionExpression') {
      const inner: Scope = { names: new Set(['arguments', ...node.params.map(nameOf)]), outer: scope }
      if (node.type === 'FunctionExpression' && node.id) inner.names.add(node.id.name)
      for (const statement of node.body.body) declare(statement as AnyNode, inner.names)
      visit(node.body, inner)
    } else if (node.type === 'CatchClause') {
      visit(node.body, { names: new Set(node.param ? [nameOf(node.param)] : []), outer: scope })
    } else if (node.type === 'Identifier') {
      let at: Scope | null = scope
      while (at && !at.names.has(node.name)) at = at.outer
      if (!at) taken.add(node.name)
    } else if (node.type === 'MemberExpression') {
      visit(node.object, scope)
      if (node.computed) visit(node.property, scope)
    } else if (node.type === 'Property') visit(node.value, scope)
    else if (node.type === 'LabeledStatement') visit(node.body, scope)
    else if (node.type !== 'BreakStatement' && node.type !== 'ContinueStatement') childrenOf(node).forEach((child) => visit(child, scope))
  }
  visit(program, top)
  return { taken, declared: top.names }
}
