/**
 * The code of the documentation's pages. A page of the guide is one program: its blocks from top to bottom. On other pages,
 * each block is a program of its own. A block that begins with a comment such as `// kernels.ts` is a file that programs import.
 */

import * as auxstream from "auxstream"
import * as blas from "auxstream/blas"

/** One file of code from a page. `file` is its name without extension, if the page gives it one. */
export interface PageCode {
  readonly file?: string
  readonly code: string
}

/** Pages outside the guide that are one program each. */
const programs = new Set([
  ...["docs/auto-parallel.md", "docs/first-picture.md", "docs/porting.md", "docs/overlap.md"],
  "docs/when-overlap-pays.md",
])

/** The examples in doc comments of declarations, as the compiler writes them. */
export function examplesOf(declarations: string): string[] {
  const comments = [...declarations.matchAll(/\/\*\*(?:(?!\*\/)[^])*\*\//g)].map(([comment]) => comment)
  return comments.flatMap((comment) =>
    [...comment.matchAll(/@example\n((?:(?!\n *\* @\w)[^])*?)\n *(?:\*\/|\* @)/g)].map(([, code = ""]) =>
      code.replaceAll(/^ *\* ?/gm, ""),
    ),
  )
}

/** Whether the page's blocks form one program, which the tests run. */
export function isProgram(path: string): boolean {
  return path.startsWith("docs/guide/") || programs.has(path)
}

export function codeOf(path: string, page: string): PageCode[] {
  const all = [...page.matchAll(/^```ts\n(.*?)^```/gms)].map(([, code = ""]) => ({ file: nameIn(code), code }))
  const unnamed = all.filter(({ file }) => file === undefined).map(({ code }) => code)
  const programs = isProgram(path) && unnamed.length > 0 ? [unnamed.join("\n")] : unnamed
  return [
    ...all.flatMap(({ file, code }) => (file === undefined ? [] : [{ file, code }])),
    ...programs.map((code) => ({ code })),
  ]
}

function nameIn(code: string): string | undefined {
  return /^\/\/ (\w+)\.ts\n/.exec(code)?.[1]
}

/** The page's path as the name of a file. */
export function nameOf(path: string): string {
  return path.replace(/\W+/g, "-")
}

/** The code as a module. Code without imports gets all exports of auxstream that it uses. */
export function withImports(code: string): string {
  if (code.includes('from "auxstream"')) return code
  const importing = (exports: object, path: string) => {
    const names = Object.keys(exports).filter((name) => new RegExp(`\\b${name}\\b`).test(code))
    return names.length === 0 || code.includes(`from "${path}"`)
      ? ""
      : `import { ${names.join(", ")} } from "${path}"\n`
  }
  return `${importing(auxstream, "auxstream")}${importing(blas, "auxstream/blas")}${code}\nexport {}\n`
}
