import assert from "node:assert/strict"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join, posix } from "node:path"
import { describe, test } from "node:test"
import { project } from "./packing.js"

/** The most files of code in one room. */
const MOST_FILES = 14

const textOf = (path: string) => readFileSync(join(project, path), "utf8")

/** Files and folders below a folder of the project, as paths from the project. */
function pathsBelow(folder: string): string[] {
  return readdirSync(join(project, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => !name.includes("node_modules"))
    .map((name) => `${folder}/${name.replaceAll("\\", "/")}`)
}

const paths = ["src", "test", "bench", "scripts", "docs", "examples"].flatMap((top) => [top, ...pathsBelow(top)])
const known = new Set(paths)
const code = paths.filter(
  (path) => /^src\/.*\.ts$/.test(path) && !path.includes("/assembly/") && !path.endsWith(".generated.ts"),
)
/** The folders of src that have files of code in them, and those files. */
const rooms = new Map<string, string[]>()
for (const path of code) rooms.set(posix.dirname(path), [...(rooms.get(posix.dirname(path)) ?? []), path])
const guides = ["CONTRIBUTING.md", "docs/architecture.md", "docs/gpu-run.md"]
const readmes = paths.filter((path) => /^src\/.*README\.md$/.test(path))

/**
 * Whether a path exists, seen from the project, from `src`, or from one of some folders. `*` stands for any part of a name.
 * What git ignores may be missing.
 */
function exists(path: string, ...folders: string[]): boolean {
  if (ignored.some((one) => path.startsWith(one))) return true
  const candidates = [path, `src/${path}`, ...folders.map((folder) => posix.join(folder, path))].map((one) =>
    one.replace(/\/$/, ""),
  )
  if (!path.includes("*")) return candidates.some((one) => known.has(one) || existsSync(join(project, one)))
  const patterns = candidates.map((one) => new RegExp(`^${one.replaceAll(".", "\\.").replaceAll("*", "[^/]*")}$`))
  return paths.some((one) => patterns.some((pattern) => pattern.test(one)))
}

const ignored = textOf(".gitignore")
  .split("\n")
  .filter((line) => line.endsWith("/"))
  .map((line) => line.replace(/^\//, ""))

/** Whether a file of this name is somewhere in the project. */
const isSomewhere = (name: string) => paths.some((path) => path.endsWith(`/${name}`))

/** What a page quotes as a path: with a slash, or the name of a file. */
function quotedPaths(page: string): string[] {
  const quotes = [...page.matchAll(/`([\w./*-]+)`/g)].map(([, quote = ""]) => quote)
  return quotes.filter((quote) => /^(?!\.+\/?$)[\w.*-]*(\/[\w.*-]*)+$|\.(ts|mjs|c|h|css)$/.test(quote))
}

describe("a room of src", () => {
  test("says its job: a title and a sentence, in its README", () => {
    const silent = [...rooms.keys()]
      .filter((room) => room !== "src")
      .filter((room) => !known.has(`${room}/README.md`) || !/^# .+\n\n[^|\n#].+/.test(textOf(`${room}/README.md`)))
    assert.deepEqual(silent, [])
  })

  test(`has at most ${MOST_FILES} files`, () => {
    const large = [...rooms].filter(([, files]) => files.length > MOST_FILES)
    assert.deepEqual(
      large.map(([room, files]) => `${room} has ${files.length} files`),
      [],
    )
  })

  test("names all its files in its README, or none", () => {
    const forgotten = [...rooms].flatMap(([room, files]) => {
      if (!known.has(`${room}/README.md`)) return []
      const named = quotedPaths(textOf(`${room}/README.md`))
      const rows = files.filter((file) => named.includes(posix.basename(file)))
      return rows.length * 2 > files.length ? files.filter((file) => !rows.includes(file)) : []
    })
    assert.deepEqual(forgotten, [])
  })
})

describe("the pages for contributors", () => {
  test("name files and folders that exist", () => {
    const missing = [...guides, ...readmes].flatMap((page) =>
      textOf(page)
        .split("\n")
        .flatMap((line) => {
          // A row about one folder names the others from there.
          const folders = [posix.dirname(page), ...quotedPaths(line).filter((path) => path.startsWith("src/"))]
          return quotedPaths(line).filter((path) => !path.startsWith("auxstream/") && !exists(path, ...folders))
        })
        .filter((path) => !(guides.includes(page) && isSomewhere(path)))
        .map((path) => `${page} names ${path}`),
    )
    assert.deepEqual(missing, [])
  })

  test("link to files and folders that exist", () => {
    const broken = [...guides, ...readmes].flatMap((page) =>
      [...textOf(page).matchAll(/\]\((?!http|#)([^)#]+)/g)]
        .map(([, target = ""]) => posix.join(posix.dirname(page), target))
        .filter((target) => !existsSync(join(project, target)))
        .map((target) => `${page} links to ${target}`),
    )
    assert.deepEqual(broken, [])
  })

  test("name nothing that the code does not have", () => {
    const sources = paths.filter((path) => /^(src|test|scripts|bench)\/.*\.(ts|mjs|c|h)$/.test(path))
    const words = new Set(sources.flatMap((path) => textOf(path).match(/[\w$]+/g) ?? []))
    // The placeholder for a call of CUDA, and a method of Node.js.
    words.add("cuName").add("getActiveResourcesInfo")
    const unknown = ["CONTRIBUTING.md", "docs/architecture.md", ...readmes].flatMap((page) =>
      [...textOf(page).matchAll(/`#?([A-Za-z_][\w.]*)(?:\([^`]*\))?`/g)]
        .map(([, name = ""]) => name)
        .filter((name) => !/\.(ts|mjs|c|h|js|md|json|css)$/.test(name))
        .filter((name) => name.split(".").some((part) => part !== "" && !words.has(part)))
        .map((name) => `${page} names ${name}`),
    )
    assert.deepEqual(unknown, [])
  })

  test("name the files that things are in", () => {
    const elsewhere = guides.flatMap((page) =>
      [...textOf(page).matchAll(/`([\w.]+)`\s+(?:in\s+|\()`((?:src|test)\/[\w/.-]+\.ts)`/g)]
        .filter(([, name = "", path = ""]) => name.split(".").some((part) => !textOf(path).includes(part)))
        .map(([, name, path]) => `${page}: ${name} is not in ${path}`),
    )
    assert.deepEqual(elsewhere, [])
  })
})

describe("comments in src", () => {
  test("name files that exist", () => {
    const missing = code.flatMap((path) =>
      [...textOf(path).matchAll(/(?:\*|\/\/).*/g)]
        .flatMap(([line]) => quotedPaths(line))
        .filter((name) => /\.(ts|mjs|md)$/.test(name))
        .filter((name) => !exists(name, posix.dirname(path)) && !isSomewhere(name))
        .map((name) => `${path} names ${name}`),
    )
    assert.deepEqual(missing, [])
  })
})
