import assert from "node:assert/strict"
import { AuxstreamError, type ErrorCode } from "../../src/index.js"

/** Words that the message must contain, the value first. */
export type Words = string | RegExp

function check(error: unknown, code: ErrorCode, words: readonly Words[]): AuxstreamError {
  assert.ok(error instanceof AuxstreamError, `an AuxstreamError was expected, not: ${String(error)}`)
  assert.equal(error.code, code, error.message)
  assert.equal(error.name, error.constructor.name)
  for (const word of words) {
    const said = typeof word === "string" ? error.message.includes(word) : word.test(error.message)
    assert.ok(said, `"${error.message}" does not say ${String(word)}`)
  }
  return error
}

/** The value that a call throws. */
export function thrownBy(fn: () => unknown): unknown {
  try {
    fn()
  } catch (error) {
    return error
  }
  return assert.fail("nothing was thrown")
}

/** Checks that a call throws synchronously, with this code and these words. */
export function refused(fn: () => unknown, code: ErrorCode, ...words: Words[]): AuxstreamError {
  let error: unknown
  try {
    fn()
  } catch (thrown) {
    error = thrown
  }
  return check(error, code, words)
}

/** Checks that a call returns a promise that rejects, with this code and these words. */
export async function rejected(
  fn: () => Promise<unknown>,
  code: ErrorCode,
  ...words: Words[]
): Promise<AuxstreamError> {
  const promise = fn()
  assert.ok(promise instanceof Promise)
  let error: unknown
  try {
    await promise
  } catch (thrown) {
    error = thrown
  }
  return check(error, code, words)
}
