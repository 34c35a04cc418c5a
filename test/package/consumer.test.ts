import assert from "node:assert/strict"
import {
  copyFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { after, before, describe, test } from "node:test"
import { build, type BuildOptions } from "esbuild"
import { node, npm, pack, project, temporaryFolder } from "./packing.js"
import * as programs from "./programs.js"

/** The package as users have it: packed, installed into a separate project, used in every supported way. */
describe("the installed package", () => {
  let consumer = ""

  before(() => {
    consumer = temporaryFolder()
    const tarball = pack(consumer)
    writeFileSync(join(consumer, "package.json"), JSON.stringify({ name: "consumer", private: true, type: "module" }))
    npm(consumer, "install", "--prefer-offline", "--ignore-scripts", tarball)
  })
  after(() => {
    rmSync(consumer, { recursive: true, force: true })
  })

  function write(name: string, text: string): void {
    writeFileSync(join(consumer, name), text)
  }

  test("works from a module", () => {
    write("main.mjs", programs.moduleProgram)
    assert.equal(node(consumer, "main.mjs").trim(), programs.printed)
  })

  test("works under flags of Node.js, with a file and with --eval", () => {
    assert.equal(node(consumer, "--max-old-space-size=512", "--expose-gc", "main.mjs").trim(), programs.printed)
    const text = node(consumer, "--input-type=module", "--eval", programs.moduleProgram)
    assert.equal(text.trim(), programs.printed)
  })

  test("works from require", () => {
    write("main.cjs", programs.commonJsProgram)
    assert.equal(node(consumer, "main.cjs").trim(), programs.printed)
  })

  test("works from TypeScript, with strictly checked declarations", () => {
    write("typed.ts", programs.typedProgram)
    write("using.ts", programs.usingProgram)
    const libs = [["es2022"], ["es2023", "esnext.disposable"]]
    // Without `types`, compilers before TypeScript 6 include all installed types, later ones none.
    for (const options of libs.flatMap((lib) => [{ lib }, { lib, types: ["node"] }])) {
      compile(options)
      assert.equal(node(consumer, "typed.js").trim(), programs.printed)
      assert.equal(node(consumer, "using.js").trim(), programs.printedByUsing)
    }
  })

  test("lets a TypeScript library export inferred types, with declarations", () => {
    write("library.ts", programs.libraryProgram)
    compile({ lib: ["es2022"] }, ["library.ts"], { declaration: true })
    // Compiled against the declarations only, as its users have them.
    rmSync(join(consumer, "library.ts"))
    write("user.ts", programs.libraryUser)
    compile({ lib: ["es2022"] }, ["user.ts"])
    assert.match(readFileSync(join(consumer, "library.d.ts"), "utf8"), /arrays: Map<string, DeviceArray(<DType>)?>/)
  })

  function compile(
    options: Readonly<Record<string, readonly string[]>>,
    files = ["typed.ts", "using.ts"],
    more: Readonly<Record<string, boolean>> = {},
  ): void {
    mkdirSync(join(consumer, "node_modules/@types"), { recursive: true })
    const types = join(consumer, "node_modules/@types/node")
    rmSync(types, { force: true, recursive: true })
    symlinkSync(join(project, "node_modules/@types/node"), types, "junction")
    const compilerOptions = {
      module: "nodenext",
      target: "es2022",
      strict: true,
      skipLibCheck: false,
      ...options,
      ...more,
    }
    write("tsconfig.json", JSON.stringify({ compilerOptions, files }))
    node(consumer, join(project, "node_modules/typescript/bin/tsc"), "-p", ".")
    rmSync(types)
  }

  test("works with a bundle that excludes it", async () => {
    await bundle(programs.moduleProgram, { external: ["auxstream"], outfile: join(consumer, "bundled/main.mjs") })
    assert.equal(node(consumer, "bundled/main.mjs").trim(), programs.printed)
  })

  test("works in a bundle with the workers' file beside it, which imports only Node.js modules", async () => {
    const worker = join(consumer, "node_modules/auxstream/dist/worker.js")
    const imported = [...readFileSync(worker, "utf8").matchAll(/^import .*? from "([^"]+)"/gm)].map(([, name]) => name)
    assert.ok(imported.length > 0)
    assert.deepEqual(
      imported.filter((name) => name?.startsWith("node:") !== true),
      [],
    )
    await bundle(programs.moduleProgram, { outfile: join(consumer, "with-worker/main.mjs") })
    copyFileSync(worker, join(consumer, "with-worker/worker.js"))
    assert.equal(node(consumer, "with-worker/main.mjs").trim(), programs.printed)
  })

  test("says what to do if a bundle includes it without its workers' file", async () => {
    await bundle(programs.carefulProgram, { outfile: join(consumer, "swallowed/main.mjs") })
    assert.match(node(consumer, "swallowed/main.mjs"), /^AUX_DEVICE_UNAVAILABLE: .*external/)
    await bundle(programs.carefulProgram, { outfile: join(consumer, "swallowed/main.cjs"), format: "cjs" })
    assert.match(node(consumer, "swallowed/main.cjs"), /^AUX_DEVICE_UNAVAILABLE: .*external/)
  })

  async function bundle(program: string, options: BuildOptions): Promise<void> {
    const stdin = { contents: program, resolveDir: consumer, loader: "js" as const }
    await build({ stdin, bundle: true, platform: "node", format: "esm", logLevel: "silent", ...options })
  }

  test("is imported fast, and loads no native library until a device is opened", (t) => {
    write("import.mjs", programs.importProgram)
    const imports = Array.from({ length: 7 }, () => JSON.parse(node(consumer, "import.mjs")) as Import)
    const median = imports.map((one) => one.milliseconds).sort((a, b) => a - b)[3]
    t.diagnostic(`import("auxstream"): ${median?.toFixed(1)} ms, the median of ${imports.length}`)
    assert.deepEqual(
      imports.flatMap((one) => one.native),
      [],
    )
  })

  interface Import {
    milliseconds: number
    native: string[]
  }

  test("installs koffi, and takes less than 10 MB with it", (t) => {
    assert.ok(readdirSync(join(consumer, "node_modules")).includes("koffi"))
    const megabytes = bytesBelow(join(consumer, "node_modules")) / 1e6
    t.diagnostic(`installed, with koffi: ${megabytes.toFixed(1)} MB`)
    assert.ok(megabytes < 10)
  })

  test("works without koffi, and then says why CUDA is unavailable", () => {
    for (const name of ["koffi", "@koromix"]) rmSync(join(consumer, "node_modules", name), { recursive: true })
    assert.equal(node(consumer, "main.mjs").trim(), programs.printed)
    write(
      "devices.mjs",
      `import { listDevices } from "auxstream"
       console.log(listDevices().filter((device) => device.kind === "cuda").map((device) => device.reason).join())`,
    )
    assert.match(node(consumer, "devices.mjs"), /koffi/)
  })
})

function bytesBelow(path: string): number {
  const found = lstatSync(path)
  if (!found.isDirectory()) return found.size
  return readdirSync(path).reduce((sum, name) => sum + bytesBelow(join(path, name)), 0)
}
