/**
 * One file out of a kernel and all it imports: what it reaches, and nothing else.
 *
 * A kernel's modules become one scope, where calls are direct. Two declarations of one name are an error of the
 * compiler's, not a silent choice.
 */
import ts from "typescript"

interface Declared {
  readonly names: ReadonlyArray<string>
  readonly uses: ReadonlySet<string>
  readonly text: string
  readonly isType: boolean
  /** The function, where it is marked as late. */
  readonly late: ts.ArrowFunction | undefined
}

/**
 * A function marked `@late` is made when it is first called, with all that only it needs: a script makes every function
 * outside of others anew at each call, and most calls come to none of these.
 */
const lateIn = (statement: ts.Statement): ts.ArrowFunction | undefined => {
  if (
    !ts.isVariableStatement(statement) ||
    !ts.getJSDocTags(statement).some(({ tagName }) => tagName.text === "late")
  ) {
    return undefined
  }
  const [declared] = statement.declarationList.declarations
  const made = declared?.initializer
  if (made === undefined || !ts.isArrowFunction(made) || made.type === undefined) {
    throw new Error(`${declared?.name.getText()} is late: it must be a function with a type`)
  }
  return made
}

const lateText = (name: string, late: ts.ArrowFunction, within: ReadonlyArray<string>): string => {
  const parameters = late.parameters.map((one) => one.getText()).join(", ")
  const given = late.parameters.map((one) => one.name.getText()).join(", ")
  const type = `(${parameters}) => ${late.type!.getText()}`
  return `let made_${name}: (${type}) | undefined = undefined
const ${name} = (${parameters}): ${late.type!.getText()} => {
  if (made_${name} === undefined) {
    ${within.join("\n")}
    made_${name} = ${late.getText()}
  }
  return made_${name}(${given})
}`
}

const namesOf = (statement: ts.Statement): ReadonlyArray<string> => {
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.map(({ name }) => name.getText())
  }
  if (ts.isFunctionDeclaration(statement)) return statement.name === undefined ? [] : [statement.name.text]
  return []
}

/** What no store asks of a compiled kernel. */
const omitted: ReadonlySet<string> = new Set(["rank", "reach", "span", "takes", "undo"])

/** The fields of a kernel that are left out. A kernel is the object with a `step`. */
const omittedIn = (node: ts.Node): ReadonlyArray<ts.ObjectLiteralElementLike> => {
  if (!ts.isObjectLiteralExpression(node)) return []
  const named = (one: ts.ObjectLiteralElementLike, is: (name: string) => boolean) =>
    one.name !== undefined && ts.isIdentifier(one.name) && is(one.name.text)
  return node.properties.some((one) => named(one, (name) => name === "step"))
    ? node.properties.filter((one) => named(one, (name) => omitted.has(name)))
    : []
}

const usesOf = (node: ts.Node): ReadonlySet<string> => {
  const uses = new Set<string>()
  const visit = (node: ts.Node): void => {
    if (ts.isObjectLiteralElementLike(node) && omittedIn(node.parent).includes(node)) return
    if (ts.isIdentifier(node)) uses.add(node.text)
    ts.forEachChild(node, visit)
  }
  visit(node)
  return uses
}

/** Where the text of these fields stands, with the comma after it. */
const rangesOf = (node: ts.Node, text: string): ReadonlyArray<readonly [from: number, to: number]> => {
  const ranges: Array<readonly [from: number, to: number]> = []
  const visit = (node: ts.Node): void => {
    for (const one of omittedIn(node)) {
      const comma = /^\s*,/.exec(text.slice(one.getEnd()))
      ranges.push([one.getStart(), one.getEnd() + (comma?.[0].length ?? 0)])
    }
    ts.forEachChild(node, visit)
  }
  visit(node)
  return ranges
}

/** The statement without `export`, but for the one that is asked for, and without what is left out of kernels. */
const textOf = (statement: ts.Statement, keep: boolean): string => {
  const modifier = ts.canHaveModifiers(statement)
    ? ts.getModifiers(statement)?.find(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)
    : undefined
  const start = keep || modifier === undefined ? statement.getStart() : modifier.getEnd()
  const { text } = statement.getSourceFile()
  let out = ""
  let from = start
  for (const [begin, end] of rangesOf(statement, text)) {
    out += text.slice(from, begin)
    from = end
  }
  return out + text.slice(from, statement.getEnd())
}

/** All files that `file` needs, those first that others need. */
const filesOf = (program: ts.Program, file: ts.SourceFile): ReadonlyArray<ts.SourceFile> => {
  const seen = new Set<ts.SourceFile>()
  const visit = (file: ts.SourceFile): ReadonlyArray<ts.SourceFile> => {
    if (seen.has(file)) return []
    seen.add(file)
    const imported = file.statements.flatMap((statement) => {
      if (!ts.isImportDeclaration(statement) && !ts.isExportDeclaration(statement)) return []
      const bindings = ts.isImportDeclaration(statement) ? statement.importClause?.namedBindings : undefined
      if (bindings !== undefined && !ts.isNamedImports(bindings)) return [] // nothing of it is found, should it be reached
      if (bindings?.elements.some(({ propertyName }) => propertyName !== undefined) === true) {
        throw new Error(`${file.fileName}: a kernel renames nothing that it imports`)
      }
      const checker = program.getTypeChecker()
      const symbol =
        statement.moduleSpecifier === undefined ? undefined : checker.getSymbolAtLocation(statement.moduleSpecifier)
      const target = symbol?.valueDeclaration
      return target !== undefined && ts.isSourceFile(target) ? [target] : []
    })
    return [...imported.flatMap(visit), file]
  }
  return visit(file)
}

/** What is reached from a name, without going through `closed`. */
const reachedFrom = (
  declared: ReadonlyArray<Declared>,
  name: string,
  closed: Declared | undefined
): ReadonlyArray<Declared> => {
  const reached = new Set([name])
  // a statement that declares nothing (a loop that fills a table) goes with the names it uses
  const isReached = ({ names, uses }: Declared) =>
    names.length > 0 ? names.some((one) => reached.has(one)) : [...uses].some((one) => reached.has(one))
  const values = declared.filter(({ isType }) => !isType)
  for (let before = 0; before < reached.size;) {
    before = reached.size
    for (const one of values) if (one !== closed && isReached(one)) for (const used of one.uses) reached.add(used)
  }
  return values.filter(isReached)
}

export const link = (program: ts.Program, file: ts.SourceFile, name: string): string => {
  const declared = filesOf(program, file).flatMap((source) =>
    source.statements.flatMap((statement): ReadonlyArray<Declared> => {
      if (ts.isImportDeclaration(statement) || ts.isExportDeclaration(statement)) return []
      const isType = ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement)
      const names = namesOf(statement)
      const keep = source === file && names.includes(name)
      // a field that holds a function is no method
      const noSelf = ts.isInterfaceDeclaration(statement) ? "/** @noSelf */ " : ""
      const late = keep ? undefined : lateIn(statement)
      return [{ names, uses: usesOf(statement), text: noSelf + textOf(statement, keep), isType, late }]
    })
  )
  const all = reachedFrom(declared, name, undefined)
  const lates = all.filter(({ late }) => late !== undefined)
  if (lates.length > 1) throw new Error(`${file.fileName}: one late function is enough`)
  const [one] = lates
  const early = reachedFrom(declared, name, one)
  const within = all.filter((other) => other !== one && !early.includes(other)).map(({ text }) => text)
  const types = declared.filter(({ isType }) => isType).map(({ text }) => text)
  const texts = all.flatMap((other) => {
    if (other === one) return [lateText(one.names[0]!, one.late!, within)]
    return early.includes(other) ? [other.text] : []
  })
  return [...types, ...texts].join("\n")
}
