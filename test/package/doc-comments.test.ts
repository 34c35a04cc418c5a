import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { describe, test } from "node:test"
import { project } from "../examples/run.js"

/**
 * A part of what `npm run docs` checks with TypeDoc, which `npm test` does not install: it reads the declarations of the package as
 * text, in the form in which the compiler writes them.
 */

/** A declaration that the package exports. */
interface Declaration {
  readonly name: string
  readonly path: string
  /** Its comment and its text. */
  readonly comment: string
  readonly text: string
}

const { exports } = JSON.parse(readFileSync(join(project, "package.json"), "utf8")) as {
  readonly exports: Readonly<Record<string, { readonly types?: string }>>
}
const entries = Object.values(exports).flatMap(({ types }) => (types === undefined ? [] : [types]))
const declarations = entries.flatMap((path) => exportsOf(path))

/** The exported declarations of a file, those that it re-exports included. */
function exportsOf(path: string): Declaration[] {
  const text = readFileSync(join(project, path), "utf8")
  const from = (target: string) => join(dirname(path), target.replace(/\.js$/, ".d.ts"))
  const all = [...text.matchAll(/^export \* from "(.+)";$/gm)].flatMap(([, target = ""]) => exportsOf(from(target)))
  const named = [...text.matchAll(/^export (?:type )?\{([^}]+)\} from "(.+)";$/gm)].flatMap(
    ([, names = "", target = ""]) => {
      const wanted = new Set(names.split(",").map((name) => name.replace("type", "").trim()))
      return exportsOf(from(target)).filter(({ name }) => wanted.has(name))
    },
  )
  return [...all, ...named, ...ownExports(path, text)]
}

function ownExports(path: string, text: string): Declaration[] {
  const found = text.matchAll(
    /^(\/\*\*(?:(?!\*\/)[^])*\*\/\n)?export (?:declare )?(?:class|interface|type|function|const) (\w+)(?:(?!^(?:export|declare|type|interface|\/\*\*))[^])*/gm,
  )
  return [...found].map(([text, comment = "", name = ""]) => ({ name, path, comment, text }))
}

/** The lines that declare a member without a comment before them. Overloads and setters follow a comment on the same name. */
function undocumentedMembers({ text }: Declaration): string[] {
  const lines = text.split("\n")
  const missing: string[] = []
  let isInComment = false
  let previous = ""
  lines.forEach((line, index) => {
    const wasInComment = isInComment
    if (line.trimStart().startsWith("/**")) isInComment = true
    if (line.trimEnd().endsWith("*/")) isInComment = false
    if (wasInComment || line.includes("/**")) return
    const [, name] = /^ +(?:(?:static|readonly|get|set) )*(\w+|\[[\w.]+\])\??(?:<.*)?[:(]/.exec(line) ?? []
    const isHidden = name === "constructor" || /^ +(?:protected|private) | infer /.test(line)
    if (name === undefined || isHidden) return
    if (lines[index - 1]?.endsWith("*/") !== true && name !== previous) missing.push(name)
    previous = name
  })
  return missing
}

describe("the doc comments of the package", () => {
  test("are found, of each entry point", () => {
    assert.ok(entries.length >= 2)
    const names = new Set(declarations.map(({ name }) => name))
    for (const name of ["openDevice", "Device", "TraceData", "Parameter", "KernelError", "matmul", "MatmulShape"]) {
      assert.ok(names.has(name), name)
    }
  })

  test("describe everything that is exported", () => {
    // An overload without a comment follows one that has it.
    const described = new Set(declarations.filter(({ comment }) => comment !== "").map(({ name }) => name))
    const missing = declarations.filter(({ name }) => !described.has(name))
    assert.deepEqual(
      missing.map(({ name, path }) => `${name} (${path})`),
      [],
    )
  })

  test("describe each member", () => {
    const missing = declarations.flatMap((one) => undocumentedMembers(one).map((member) => `${one.name}.${member}`))
    assert.deepEqual(missing, [])
  })

  test("say what a function throws, and explain before the example", () => {
    for (const { name, comment, text } of declarations) {
      if (/^export declare function \w+(?:<[^(]*>)?\(\w/m.test(text)) assert.match(comment, /@throws/, name)
    }
    for (const { name, text } of declarations) {
      assert.doesNotMatch(text, /@example(?:(?!\*\/)[^])*\n \* (?:PyTorch:|CUDA:|After )/, name)
    }
  })

  test("name only types that are exported, too", () => {
    const names = new Set(declarations.map(({ name }) => name))
    const missing = declarations.flatMap(({ name, path, text }) => {
      const code = text.replaceAll(/\/\*\*[^]*?\*\//g, "")
      const beside = ownExports(path, readFileSync(join(project, path), "utf8"))
      // Of other files, TypeDoc finds them. `TypedArrays` is a table of types, which users need not name.
      const unexported = beside.filter((one) => !names.has(one.name) && one.name !== "TypedArrays")
      return unexported
        .filter((one) => new RegExp(`\\b${one.name}\\b`).test(code))
        .map((one) => `${name} names ${one.name}`)
    })
    assert.deepEqual(missing, [])
  })

  test("link only to exports", () => {
    const names = new Set(declarations.map(({ name }) => name))
    const broken = declarations.flatMap(({ name, text }) =>
      [...text.matchAll(/\{@link ([\w.]+)\}/g)]
        .map(([, target = ""]) => target)
        .filter((target) => {
          const [first = "", member] = target.split(".")
          const owner = member === undefined ? text : declarations.find((one) => one.name === first)?.text
          const isMember = new RegExp(`^ +.*\\b${member ?? first}\\b\\??[(:<]`, "m").test(owner ?? "")
          return !(names.has(first) && (member === undefined || isMember)) && !(member === undefined && isMember)
        })
        .map((target) => `${name} links to ${target}`),
    )
    assert.deepEqual(broken, [])
  })
})
