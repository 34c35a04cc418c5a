import assert from "node:assert/strict"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { describe, test } from "node:test"
import { fileURLToPath } from "node:url"
import * as auxstream from "auxstream"
import { codeOf, examplesOf, nameOf, withImports } from "./pages.js"
import { project, runScript } from "./run.js"

/** The pages by their paths from the project's folder. */
const pages = new Map(
  [
    "README.md",
    ...["docs", "docs/api", "docs/guide", "examples", "examples/wasm-kernel", "examples/image-pipeline"]
      .flatMap((folder) => readdirSync(join(project, folder)).map((name) => `${folder}/${name}`))
      .filter((path) => path.endsWith(".md")),
  ].map((path) => [path, readFileSync(join(project, path), "utf8")]),
)
const pageOf = (path: string) => pages.get(path) ?? ""

/** Declarations that the pages' code relies on. */
const given = `
declare global {
  const device: Device
  const stream: Stream, aux: Stream, aux1: Stream, aux2: Stream
  const event0: Event, event1: Event, event2: Event, start: Event, done1: Event, done2: Event
  function fn(): void
  function fn0(): void
  function fn1(): void
  function fn2(): void
  const x: DeviceArray<"float32">, y: DeviceArray<"float32">, weights: DeviceArray<"float32">
  const scale: Kernel<readonly ["int32", "float32", "inout float32*"]>
  const saxpy: Kernel<readonly ["int32", "float32", "in float32*", "inout float32*"]>
  const library: { run(handle: bigint, input: number, output: number): void }
  function load(): Promise<Float32Array>
  function multiply(a: DeviceArray<"float32">, b: DeviceArray<"float32">): DeviceArray<"float32">
  function add(a: DeviceArray<"float32">, b: DeviceArray<"float32">): DeviceArray<"float32">
  function experts(x: DeviceArray<"float32">): DeviceArray<"float32">
  function sharedExpert(x: DeviceArray<"float32">): DeviceArray<"float32">
  function normQ(x: DeviceArray<"float32">): DeviceArray<"float32">
  function normK(x: DeviceArray<"float32">): DeviceArray<"float32">
  function normV(x: DeviceArray<"float32">): DeviceArray<"float32">
}
`
/** Declarations that the examples of doc comments rely on besides. */
const givenToExamples = `
declare global {
  const a: DeviceArray<"float32">, b: DeviceArray<"float32">, c: DeviceArray<"float32">, bias: DeviceArray<"float32">
  const input: DeviceArray<"float32">, output: DeviceArray<"float32">, matrix: DeviceArray<"float32">
  const left: DeviceArray<"float32">, half: DeviceArray<"bfloat16">
  const wq: DeviceArray<"float32">, wk: DeviceArray<"float32">, wv: DeviceArray<"float32">
  const flag: DeviceArray<"int32">, steps: DeviceArray<"int32">, residual: DeviceArray<"float32">
  const n: number, k: number, rows: number, position: number, tokens: number
  const groups: { x: DeviceArray<"float32">; weights: DeviceArray<"float32">; y: DeviceArray<"float32">; count: number }[]
  const shape: { grid: number; block: number }
  const relu: Kernel<readonly ["inout float32*"]>, rope: Kernel<readonly ["int32", "int32", "inout float32*"]>
  const check: Kernel<readonly ["in float32*", "out int32*"]>, countDown: Kernel<readonly ["inout int32*"]>
  const filters: KernelModule<{ table: ["float32", 4] }>
  const policy: MeasuredOverlap, trace: Trace, report: TraceReport
  function layer(x: DeviceArray<"float32">): DeviceArray<"float32">
  function model(x: DeviceArray<"float32">): DeviceArray<"float32">
  function project(x: DeviceArray<"float32">, w: DeviceArray<"float32">): DeviceArray<"float32">
  function attend(q: DeviceArray<"float32">, k: DeviceArray<"float32">, v: DeviceArray<"float32">): DeviceArray<"float32">
  function writeFileSync(path: string, contents: string | Uint8Array): void
}
`
const types =
  'import type { Device, DeviceArray, Event, Kernel, KernelModule, MeasuredOverlap, Stream, Trace, TraceReport } from "auxstream"\n'

describe("the documentation", () => {
  test("has code that compiles", () => {
    // Below the project, so that "auxstream" is resolved as for users.
    const outputs = fileURLToPath(new URL("../..", import.meta.url))
    mkdirSync(outputs, { recursive: true })
    const folder = mkdtempSync(join(outputs, "docs-"))
    try {
      writeFileSync(join(folder, "given.d.ts"), types + given + givenToExamples)
      const blocks = [...pages].flatMap(([path, page]) => codeOf(path, page).map((code) => ({ path, ...code })))
      assert.ok(blocks.length > 20)
      blocks.forEach(({ path, code, file }, index) =>
        writeFileSync(join(folder, `${file ?? `${nameOf(path)}-${index}`}.ts`), withImports(code)),
      )
      const examples = declarationsIn("dist").flatMap((path) => examplesOf(readFileSync(join(project, path), "utf8")))
      assert.ok(examples.length > 40)
      examples.forEach((code, index) => writeFileSync(join(folder, `example-${index}.ts`), withImports(code)))
      const options = {
        strict: true,
        noEmit: true,
        module: "nodenext",
        target: "es2023",
        lib: ["es2023", "esnext.disposable"],
      }
      const settings = { compilerOptions: { ...options, types: ["node"], skipLibCheck: true }, include: ["*.ts"] }
      writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(settings))
      const compiler = join(project, "node_modules/typescript/bin/tsc")
      const { exitCode, output } = runScript(compiler, "-p", folder)
      assert.equal(exitCode, 0, output)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  test("names exactly the existing error codes", () => {
    const source = readFileSync(join(project, "src/common/errors.ts"), "utf8")
    const codes = [...source.matchAll(/^ {2}\| "(AUX_\w+)"/gm)].map(([, code]) => code)
    const [errors = ""] = pageOf("docs/api/errors.md").split("## Warnings")
    const documented = [...errors.matchAll(/^\| `(AUX_\w+)`/gm)].map(([, code]) => code)
    assert.deepEqual(new Set(documented), new Set(codes))
  })

  test("quotes the refusals of captures literally", () => {
    const said = [
      "runtime/order/capture-guard",
      "runtime/graph/conditional",
      "runtime/device/event",
      "parallel/fork-state",
    ]
      .map((name) => readFileSync(join(project, `src/${name}.ts`), "utf8"))
      .join("")
      .replaceAll(/["`] \+\s+["`]/g, "")
    const [, section = ""] = pageOf("docs/api/graph.md").split("## Refused calls")
    const rows = (section.split("\n## ")[0] ?? "").matchAll(/^\|[^|]+\| `([^`|]+)` \|/gm)
    const pieces = [...rows].flatMap(([, words = ""]) => words.split("…")).map((piece) => piece.trim())
    const missing = pieces.filter((piece) => !said.includes(piece))
    assert.ok(pieces.length > 8)
    assert.deepEqual(missing, [])
  })

  test("names every export", () => {
    const text = [...pages]
      .filter(([path]) => path.startsWith("docs/api/"))
      .map(([, page]) => page)
      .join("")
    const missing = Object.keys(auxstream).filter((name) => !text.includes(`\`${name}`))
    assert.deepEqual(missing, [])
  })

  test("has no broken links", () => {
    for (const [path, page] of pages) {
      for (const [, target = ""] of withoutCode(page).matchAll(/\]\(([^)]+)\)/g)) {
        if (target.startsWith("http")) continue
        const [file = "", anchor] = target.split("#")
        const found = file === "" ? path : join(dirname(path), file)
        assert.ok(existsSync(join(project, found)), `${path} links to ${target}`)
        if (anchor !== undefined) assert.ok(anchorsOf(pageOf(found)).includes(anchor), `${path} links to ${target}`)
      }
    }
  })
})

/** The declarations below a folder of the project. */
function declarationsIn(folder: string): string[] {
  const names = readdirSync(join(project, folder), { recursive: true, encoding: "utf8" })
  return names.filter((name) => name.endsWith(".d.ts")).map((name) => `${folder}/${name}`)
}

function withoutCode(page: string): string {
  return page.replaceAll(/^```.*?^```|`[^`\n]*`/gms, "")
}

/** The anchors that GitHub makes from headings. */
function anchorsOf(page: string): string[] {
  return [...page.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  )
}
