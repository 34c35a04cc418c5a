import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { skip } from "../cuda/double.js"
import { withEnvironment } from "../support/environment.js"
import { runExample } from "./run.js"

const lines = [
  /^a linear layer beside its LoRA adapter: [\d.]+ µs in sequence, [\d.]+ µs side by side; the results are equal$/,
  /^routed experts beside a shared expert: [\d.]+ µs in sequence, [\d.]+ µs side by side; the results are equal$/,
]

function check(device: string): void {
  const { exitCode, output, errors } = withEnvironment({ AUXSTREAM_DEVICE: device }, () =>
    runExample("lora-and-experts", "--small"),
  )
  assert.equal(errors, "")
  assert.equal(exitCode, 0)
  const found = output.trimEnd().split("\n")
  assert.equal(found.length, lines.length, output)
  for (const [index, line] of lines.entries()) assert.match(found[index] ?? "", line)
}

describe("LoRA and experts by products", () => {
  test("side by side gives what a sequence gives, on the host device", () => check("host"))
  test("… and on the CUDA device over the driver's double", { skip }, () => check("cuda:0"))
})
