import assert from "node:assert/strict"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { fileURLToPath } from "node:url"
import { project, runScript } from "../examples/run.js"

/** The compiler shows a function's parameters in an error as editors show them in the signature help. */
const program = `
  import { defineKernel } from "auxstream"
  const kernel = defineKernel({
    name: "k",
    signature: ["int32", "float32", "in float32*", "out int32*", "inout uint8*", { struct: { n: "int32" } }, { bytes: 4 }],
    host: { source: "export function k() {}" },
  })
  export const shown: never = null as unknown as Parameters<typeof kernel.launch>
`

test("§4 kernel.launch: editors name each argument after its parameter", () => {
  // Below the project, so that "auxstream" is resolved as for users.
  const outputs = fileURLToPath(new URL("../..", import.meta.url))
  mkdirSync(outputs, { recursive: true })
  const folder = mkdtempSync(join(outputs, "signature-help-"))
  try {
    writeFileSync(join(folder, "program.ts"), program)
    const compilerOptions = {
      ...{ strict: true, noEmit: true, noErrorTruncation: true, skipLibCheck: true },
      ...{ module: "nodenext", target: "es2023", lib: ["es2023", "esnext.disposable"], types: ["node"] },
    }
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }))
    const { output } = runScript(join(project, "node_modules/typescript/bin/tsc"), "-p", folder)
    const labels = ["options", "int32", "float32", "inArray", "outArray", "inoutArray", "struct", "bytes"]
    assert.match(output, new RegExp(`\\[${labels.map((label) => `${label}: .+`).join(", ")}\\]`))
  } finally {
    rmSync(folder, { recursive: true })
  }
})
