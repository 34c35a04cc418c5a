/** What SECURITY.md says about the package. */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, test } from "node:test"
import { pathToFileURL } from "node:url"
import { build } from "esbuild"
import { project } from "./packing.js"

/** Modules of Node.js that start no program, open no connection and evaluate nothing. The library may import these. */
const harmless: ReadonlySet<string> = new Set(
  (
    "async_hooks buffer console crypto diagnostics_channel fs fs/promises module os path perf_hooks process stream timers " +
    "url util v8 worker_threads"
  ).split(" "),
)

/** What programs import, and the program of the host device's threads. */
const entries = ["dist/index.js", "dist/blas/index.js", "dist/worker.js"]
const codes = readdirSync(join(project, "dist"), { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".js"))
  .map((path) => readFileSync(join(project, "dist", path), "utf8"))

/** The modules that the library imports, by their names. */
async function importedModules(): Promise<Set<string>> {
  const { metafile } = await build({
    entryPoints: entries.map((path) => join(project, path)),
    outdir: "none",
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "node",
    packages: "external",
    logLevel: "silent",
  })
  const imports = Object.values(metafile.inputs).flatMap((input) => input.imports)
  return new Set(imports.filter(({ external }) => external).map(({ path }) => path.replace("node:", "")))
}

interface Manifest {
  readonly scripts: Readonly<Record<string, string>>
  readonly exports: Readonly<Record<string, { readonly default?: string }>>
  readonly publishConfig: unknown
  readonly optionalDependencies: object
  readonly dependencies?: object
}

const manifest = JSON.parse(readFileSync(join(project, "package.json"), "utf8")) as Manifest

describe("the packed code", () => {
  test("imports only modules of Node.js that start nothing and open no connection", async () => {
    for (const { default: file } of Object.values(manifest.exports)) {
      if (file !== undefined) assert.ok(entries.includes(file.slice(2)), `${file} is not checked here`)
    }
    const names = await importedModules()
    assert.ok(names.has("worker_threads"))
    assert.deepEqual(
      [...names].filter((name) => !harmless.has(name)),
      [],
    )
  })

  test("has no eval, no function from text and no shell", () => {
    assert.ok(codes.length >= entries.length)
    for (const code of codes) {
      assert.doesNotMatch(code, /\beval\s*\(|\bnew\s+Function\b|(?<![\w.$])Function\s*\(|node:vm/)
      assert.doesNotMatch(code, /shell\s*:\s*(true|!0|["'`])|\bexec(Sync)?\s*\(\s*["'`]/)
    }
  })

  test("runs kernels where Node.js forbids code generation from strings", () => {
    const index = JSON.stringify(pathToFileURL(join(project, "dist/index.js")).href)
    const program = `
      import { defineKernel, openDevice } from ${index}
      const set = defineKernel({
        name: "set",
        signature: ["out int32*"],
        host: { source: "export function set(launch, x) { x[0] = 7 }" },
      })
      using device = openDevice("host")
      const x = device.zeros("int32", 1)
      set.launch({ grid: 1, block: 1 }, x)
      console.log(x.readSync()[0])
      try { new Function("") } catch { console.log("forbidden") }`.replace("using device", "const device")
    const options = ["--disallow-code-generation-from-strings", "--input-type=module", "--eval", program]
    const { stdout, stderr } = spawnSync(process.execPath, options, { encoding: "utf8", timeout: 120_000 })
    assert.equal(stdout, "7\nforbidden\n", stderr)
  })
})

interface Release {
  obstacles(release: { manifest: object; changelog: string }): string[]
}

describe("publishing", () => {
  test("proves where the package was built, and checks first that it is ready", async () => {
    assert.deepEqual(manifest.publishConfig, { access: "public", provenance: true })
    assert.equal(manifest.scripts["prepublishOnly"], "node scripts/check-release.mjs")
    const script = pathToFileURL(join(project, "scripts/check-release.mjs")).href
    const { obstacles } = (await import(script)) as Release
    const ready = { version: "1.2.3", repository: { url: "git+https://example.com/a.git" } }
    const dated = "## [1.2.3] - 2030-01-02\n"
    assert.deepEqual(obstacles({ manifest: ready, changelog: dated }), [])
    const [noRepository] = obstacles({ manifest: { version: "1.2.3" }, changelog: dated })
    assert.match(noRepository ?? "", /must name the public `repository`/)
    const [noDate] = obstacles({ manifest: ready, changelog: "## [1.2.3] - unreleased\n" })
    assert.match(noDate ?? "", /must have a date for version 1\.2\.3/)
    const [noSection] = obstacles({ manifest: ready, changelog: "## [1.2.2] - 2030-01-01\n" })
    assert.match(noSection ?? "", /must have a section for version 1\.2\.3/)
  })

  test("has one dependency, and its exact tree is locked with hashes", () => {
    assert.deepEqual(Object.keys(manifest.optionalDependencies), ["koffi"])
    assert.equal(manifest.dependencies, undefined)
    const lock = JSON.parse(readFileSync(join(project, "package-lock.json"), "utf8")) as {
      packages: Readonly<Record<string, { integrity?: string; link?: boolean }>>
    }
    const unhashed = Object.entries(lock.packages).filter(
      ([path, { integrity }]) => path !== "" && integrity === undefined,
    )
    assert.deepEqual(unhashed, [])
  })
})
