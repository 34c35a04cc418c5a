/** What must hold after any failure. */
import assert from "node:assert/strict"
import { AuxstreamError, type Device, DeviceLostError } from "../../src/index.js"
import { Program } from "./program.js"

/** Signs of a value that nobody checked, or of an engine's own error. */
const internal = /undefined|\[object|NaN|is not a function|is not iterable|Cannot (read|access|convert)|BigInt/

/** Checks that an error is of the library, and speaks to its user: also each part of an `AggregateError`, and each cause. */
export function checkClear(error: unknown, where: string): void {
  if (error instanceof AggregateError) {
    assert.ok(error.errors.length > 1, where)
    for (const part of error.errors) checkClear(part, where)
    return
  }
  if (!(error instanceof AuxstreamError)) {
    // An assertion of the program itself, or an engine's error.
    throw error instanceof Error ? new Error(`${where}: ${error.message}`, { cause: error }) : new Error(where)
  }
  assert.doesNotMatch(error.message, internal, where)
  if ("joinErrors" in error) for (const part of error.joinErrors as unknown[]) checkClear(part, where)
}

/** Every error that an error holds, itself included. */
export function allErrors(error: unknown): unknown[] {
  if (!(error instanceof Error)) return [error]
  const parts = error instanceof AggregateError ? (error.errors as unknown[]) : []
  const joins = "joinErrors" in error ? (error.joinErrors as unknown[]) : []
  return [error, ...[...parts, ...joins, error.cause].filter((part) => part !== undefined).flatMap(allErrors)]
}

/** Runs a function to its end. @returns what it threw, or undefined */
export async function outcome(fn: () => unknown): Promise<unknown> {
  try {
    await fn()
  } catch (error) {
    return error ?? new Error("nothing was thrown as an error")
  }
  return undefined
}

/** Every later use of a lost device throws the first failure's loss, and disposing is quiet. */
export async function checkLost(device: Device, loss: DeviceLostError, where: string): Promise<void> {
  assert.ok(loss.cause instanceof Error, where)
  for (const use of [() => device.synchronize(), () => device.zeros("int32", 1), () => device.completed()]) {
    const thrown = await outcome(use)
    assert.ok(thrown instanceof DeviceLostError, `${where}, ${String(use)}: ${String(thrown)}`)
    assert.equal(thrown.cause, loss.cause, where)
  }
}

/** Runs the whole program without failures. Its results must be right, and it must leave no memory in use. */
export async function checkWorks(device: Device, where: string): Promise<void> {
  const before = device.memory.used
  const program = new Program(device)
  try {
    await program.run()
  } catch (error) {
    throw new Error(`${where}: afterwards, "${program.step}" failed: ${String(error)}`, { cause: error })
  } finally {
    program.dispose()
  }
  device.synchronize()
  assert.equal(device.memory.used, before, `${where}: memory is left in use`)
}

/** Whether the suites try every place. Otherwise they try a sample. */
export const everything = process.env["AUXSTREAM_FAULTS"] === "all"

/** The places to try: all of them, or every `step`-th, from `first` on, and the last. */
export function placesOf(all: number, step: number, first = step - 1): number[] {
  return Array.from({ length: all }, (_, index) => index).filter(
    (index) => everything || index % step === first % step || index === all - 1,
  )
}
