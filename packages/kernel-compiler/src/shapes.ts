/**
 * What plain data looks like, told from its type.
 *
 * A kernel's policy, states and inputs cross the border to Lua as words in the order of their fields, so both
 * sides must know the fields. They are read off the types once, here, where the compiler knows them.
 */
import ts from "typescript"

/** As `Shape` of effect-resilience-redis, which reads it. */
export type Shape =
  | "number"
  | "boolean"
  | "string"
  | "word"
  | { readonly list: Shape }
  | { readonly record: ReadonlyArray<Field> }
  | { readonly tag: string; readonly choices: ReadonlyArray<readonly [word: string, fields: ReadonlyArray<Field>]> }
export type Field = readonly [name: string, shape: Shape]

/** What stands unescaped between spaces. */
const plain = /^[A-Za-z0-9_.:/@-]+$/

export const shapeOf = (checker: ts.TypeChecker, type: ts.Type, where: string): Shape => {
  const refuse = (why: string): never => {
    throw new Error(`${where}: ${checker.typeToString(type)} ${why}, which cannot be stored`)
  }
  if ((type.flags & ts.TypeFlags.BooleanLike) !== 0) return "boolean"
  if ((type.flags & ts.TypeFlags.Number) !== 0) return "number"
  if ((type.flags & ts.TypeFlags.String) !== 0) return "string"
  const all = type.isUnion() ? type.types : [type]
  if (all.every((one) => one.isStringLiteral())) {
    return all.every((one) => plain.test(one.value)) ? "word" : refuse("is a word with other than plain characters")
  }
  if (type.isUnion()) return choiceOf(checker, type, where) ?? refuse("is a union that no one field tells apart")
  if (checker.isArrayType(type)) {
    const [element] = checker.getTypeArguments(type as ts.TypeReference) // `isArrayType` says so
    return { list: shapeOf(checker, element!, `${where}[]`) }
  }
  if ((type.flags & ts.TypeFlags.Object) === 0 || checker.isTupleType(type)) return refuse("is no plain data")
  if (type.getCallSignatures().length > 0) return refuse("is a function")
  return { record: fieldsOf(checker, type, where, undefined) }
}

const fieldsOf = (
  checker: ts.TypeChecker,
  type: ts.Type,
  where: string,
  tag: string | undefined
): ReadonlyArray<Field> =>
  checker.getPropertiesOfType(type).flatMap((property): ReadonlyArray<Field> => {
    if (property.name === tag) return []
    if ((property.flags & ts.SymbolFlags.Optional) !== 0) {
      throw new Error(`${where}.${property.name} is optional: a record has all its fields`)
    }
    return [[property.name, shapeOf(checker, checker.getTypeOfSymbol(property), `${where}.${property.name}`)]]
  })

/** Records told apart by a field that holds one word in each. */
const choiceOf = (checker: ts.TypeChecker, type: ts.UnionType, where: string): Shape | undefined => {
  const wordOf = (one: ts.Type, name: string): string | undefined => {
    const property = checker.getPropertyOfType(one, name)
    const held = property === undefined ? undefined : checker.getTypeOfSymbol(property)
    return held?.isStringLiteral() === true && plain.test(held.value) ? held.value : undefined
  }
  for (const { name } of checker.getPropertiesOfType(type.types[0]!)) {
    const words = type.types.map((one) => wordOf(one, name))
    if (words.includes(undefined) || new Set(words).size < words.length) continue
    return {
      tag: name,
      choices: type.types.map((one, i) => [words[i]!, fieldsOf(checker, one, `${where}(${words[i]})`, name)] as const)
    }
  }
  return undefined
}
