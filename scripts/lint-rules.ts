/**
 * The lint rules that oxlint does not have. `.oxlintrc.json` says where each one is in force.
 */

/** What the rules read of a syntax node. */
interface Node {
  readonly type: string
  readonly value: string
  readonly operator: string
  readonly optional: boolean
  readonly computed: boolean
  readonly object: { readonly type: string; readonly name: string }
  readonly property: { readonly name: string }
  readonly callee: { readonly type: string; readonly name: string }
}

interface Context {
  readonly sourceCode: { readonly getAllComments: () => ReadonlyArray<Node> }
  readonly report: (problem: { readonly node: Node; readonly message: string }) => void
}

type Rule = { readonly create: (context: Context) => Record<string, (node: Node) => void> }

/** A suppression is a claim that the rule is wrong here, so it says why: `... -- the reason`. */
const suppressionReason: Rule = {
  create: (context) => ({
    Program: () => {
      for (const comment of context.sourceCode.getAllComments()) {
        const text = comment.value.trim()
        const suppresses = /^(oxlint|eslint)-disable|^@ts-(expect-error|ignore|nocheck)/.test(text)
        if (suppresses && !/ -- \S+/.test(text)) {
          context.report({ node: comment, message: "A suppression needs its reason beside it: ` -- why`." })
        }
      }
    }
  })
}

/** `it.only`, `it.effect.only`, `describe.only`: whatever the library calls its test functions. */
const noOnly: Rule = {
  create: (context) => ({
    MemberExpression: (node) => {
      if (!node.computed && node.property.name === "only") {
        context.report({ node, message: "A test left focused hides every other test." })
      }
    }
  })
}

const bitwise = new Set(["&", "|", "^", "<<", ">>", ">>>", "~", "**"])
const exactMath = new Set(["floor", "ceil", "min", "max"])
const records = new Set(["Map", "Set", "WeakMap", "WeakSet"])

/** The small language of kernels (design.md, section 6): what every store can run, with the same last bit. */
const kernelLanguage: Rule = {
  create: (context) => {
    const refuse = (what: string) => (node: Node) =>
      context.report({ node, message: `Kernels are compiled for other stores: no ${what}.` })
    const operator = (node: Node) => {
      if (bitwise.has(node.operator.replace(/=$/, ""))) refuse(`operator ${node.operator}`)(node)
    }
    return {
      ClassDeclaration: refuse("class"),
      ClassExpression: refuse("class"),
      SpreadElement: refuse("spread"),
      RestElement: refuse("rest"),
      ChainExpression: refuse("optional chaining"),
      AwaitExpression: refuse("await"),
      TryStatement: refuse("try"),
      TSPropertySignature: (node) => {
        if (node.optional) refuse("optional field")(node)
      },
      NewExpression: (node) => {
        refuse(records.has(node.callee.name) ? node.callee.name : "new")(node)
      },
      BinaryExpression: operator,
      AssignmentExpression: operator,
      UnaryExpression: operator,
      MemberExpression: (node) => {
        if (node.object.type === "Identifier" && node.object.name === "Math" && !exactMath.has(node.property.name)) {
          refuse(`Math.${node.property.name}`)(node)
        }
      }
    }
  }
}

export default {
  meta: { name: "house" },
  rules: { "suppression-reason": suppressionReason, "no-only": noOnly, "kernel-language": kernelLanguage }
}
