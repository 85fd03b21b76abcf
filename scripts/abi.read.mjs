/**
 * The kernel's ABI as the compiler holds it after a compilation: what `Abi` in abi.ts describes, but for the version.
 * Plain JavaScript, as compile.mjs is; the compiler's classes are asc's own (0.28), which have no stable interface.
 * `--bindings raw` would give the names and types of functions, but not of records, and adds five exports to the binary.
 */
import { DecoratorFlags, ElementKind } from 'assemblyscript'

/** The kernel's word for a type: a record is passed by its address. */
function nameType(type) {
  return type.isReference ? 'usize' : type.toString()
}

function readFunction(prototype) {
  const [compiled] = prototype.instances.values()
  const { parameterTypes, returnType } = compiled.signature
  const parameters = parameterTypes.map((type, index) => ({ name: compiled.getParameterName(index), type: nameType(type) }))
  const file = prototype.internalName.slice(0, prototype.internalName.lastIndexOf('/'))
  return { file: `${file}.ts`, parameters, result: nameType(returnType) }
}

function readRecord(prototype) {
  const [record] = prototype.instances?.values() ?? []
  if (!record) throw new Error(`${prototype.internalName}: expected a record that the kernel uses`)
  const fields = [...record.members.values()].filter(({ fieldDeclaration }) => fieldDeclaration).map(({ name, instance }) =>
    [name, { offset: instance.memoryOffset, type: nameType(instance.type) }])
  return { bytes: record.nextMemoryOffset, fields: Object.fromEntries(fields) }
}

/** Functions that `entry` exports, and every unmanaged class that a file beside it does, each in the source's order. */
export function readAbi(program, entry) {
  const folder = entry.slice(0, entry.lastIndexOf('/') + 1)
  const own = [...program.filesByName.values()].filter(({ internalName }) => internalName.startsWith(folder))
  const exported = own.flatMap((file) => [...file.exports?.values() ?? []])
  const isRecord = ({ kind, decoratorFlags }) => kind === ElementKind.ClassPrototype && decoratorFlags & DecoratorFlags.Unmanaged
  const functions = program.filesByName.get(entry.replace(/\.ts$/, '')).exports
  return {
    functions: Object.fromEntries([...functions].map(([name, prototype]) => [name, readFunction(prototype)])),
    records: Object.fromEntries(exported.filter(isRecord).map((record) => [record.name, readRecord(record)])),
  }
}
