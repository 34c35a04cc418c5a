/**
 * Compiles the kernels that are written in AssemblyScript into sources that embed them, so that bundlers and installed
 * packages find them without a file beside the code. Each is built twice: for every engine, and with the fused
 * multiply-add of relaxed SIMD for engines that have it. Silent; does nothing if its output is up to date.
 */

import { createHash } from "node:crypto"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { at, filesBelow, root } from "./lib/project.mjs"

const modules = [
  {
    entry: "src/blas/assembly/index.ts",
    sources: [...filesBelow("src/blas/assembly"), "src/blas/blocks.ts"],
    target: "src/blas/kernels.generated.ts",
  },
  {
    entry: "examples/moe/assembly/index.ts",
    sources: [...filesBelow("examples/moe/assembly"), ...filesBelow("src/blas/assembly"), "src/blas/blocks.ts"],
    target: "examples/moe/kernels.generated.ts",
  },
]

/** The memory is the host device's: imported, shared, of any size. The module must put nothing at a fixed place in it. */
const memory = "--importMemory --noExportMemory --initialMemory 0 --maximumMemory 65536 --sharedMemory"
const options = `--runtime stub --noAssert -O3 --noColors ${memory} --enable simd --enable threads`.split(" ")

for (const module of modules) await update(module)

async function update({ entry, sources, target }) {
  const fingerprint = fingerprintOf(sources)
  if (existsSync(at(target)) && readFileSync(at(target), "utf8").includes(fingerprint)) return
  const simd = await compile(entry, [])
  const relaxedSimd = await compile(entry, ["--enable", "relaxed-simd"])
  writeFileSync(at(target), generatedSource(entry, fingerprint, simd, relaxedSimd))
}

function fingerprintOf(sources) {
  const hash = createHash("sha256")
  for (const path of [...sources, "scripts/build-wasm.mjs", "node_modules/assemblyscript/package.json"]) {
    hash.update(`${path}\n`).update(readFileSync(at(path)))
  }
  return hash.digest("hex")
}

/** Returns the module's bytes. Ends the process with the compiler's message if there is one. */
async function compile(entry, features) {
  const { default: asc } = await import("assemblyscript/asc")
  const folder = mkdtempSync(join(tmpdir(), "auxstream-wasm-"))
  try {
    const outFile = join(folder, "kernels.wasm")
    let said = ""
    const stderr = { write: (chunk) => void (said += chunk) }
    const output = ["--baseDir", root, "-o", outFile]
    const { error } = await asc.main([entry, ...options, ...features, ...output], { stderr })
    if (error || said !== "") throw new Error(`${entry} does not compile.\n${said || error.message}`)
    return readFileSync(outFile)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function generatedSource(entry, fingerprint, simd, relaxedSimd) {
  return `// Compiled from ${entry} by scripts/build-wasm.mjs.
// ${fingerprint}

interface Validator {
  readonly WebAssembly: { validate(bytes: Uint8Array): boolean }
}

/** For every engine. */
export const simd = (): Uint8Array => Buffer.from("${simd.toString("base64")}", "base64")

/** For engines with relaxed SIMD. */
export const relaxedSimd = (): Uint8Array => Buffer.from("${relaxedSimd.toString("base64")}", "base64")

/** The faster of the two if this engine accepts it. */
export function fastest(): Uint8Array {
  const { validate } = (globalThis as typeof globalThis & Validator).WebAssembly
  const relaxed = relaxedSimd()
  return validate(relaxed) ? relaxed : simd()
}
`
}
