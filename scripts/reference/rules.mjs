/**
 * Rules for doc comments beyond TypeDoc's own, as a plugin: every function with parameters describes each of them and says what
 * it throws; a number that is a time or an amount of memory says its unit; prose does not end up in an example's code.
 */

import { Converter, ReflectionKind } from "typedoc"

/** Names of numbers that have a unit, and the words that name one. */
const measured =
  /time|duration|timeout|latency|bytes?|memory|pitch|capacity|start|end|from|to|queued|gained|busy|union|longest/i
const units = /nanosecond|microsecond|millisecond|second|byte|element|pixel|record|index|kHz|bits|registers|thread/i

/** Called by TypeDoc. */
export function load(app) {
  app.converter.on(Converter.EVENT_RESOLVE_END, (context) => {
    for (const reflection of Object.values(context.project.reflections)) {
      if (isInherited(reflection)) continue
      for (const problem of problemsOf(reflection)) app.logger.warn(`${reflection.getFullName()}: ${problem}`)
    }
  })
}

function* problemsOf(reflection) {
  if (reflection.kindOf(ReflectionKind.CallSignature) && reflection.parent.kindOf(ReflectionKind.FunctionOrMethod)) {
    yield* problemsOfCall(reflection)
  }
  if (reflection.kindOf([ReflectionKind.Property, ReflectionKind.Parameter]) && isNumber(reflection.type)) {
    const text = textOf(reflection.comment?.summary)
    if (measured.test(reflection.name) && !units.test(text)) yield "a number that is measured must name its unit"
  }
  for (const example of reflection.comment?.getTags("@example") ?? []) {
    if (/^(PyTorch|CUDA|After|vLLM)\b/m.test(textOf(example.content))) yield "prose must come before @example"
  }
}

function* problemsOfCall({ comment, parameters = [] }) {
  for (const { name, comment } of parameters) {
    if (textOf(comment?.summary).trim() === "") yield `needs @param ${name}`
  }
  const says = comment?.getTag("@throws") !== undefined || /Never throws/.test(textOf(comment?.summary))
  if (parameters.length > 0 && !says) yield 'needs @throws, or "Never throws" in its description'
}

const isNumber = (type) =>
  (type?.type === "intrinsic" && type.name === "number") || (type?.type === "union" && type.types.some(isNumber))

const isInherited = ({ inheritedFrom, parent }) => inheritedFrom !== undefined || parent?.inheritedFrom !== undefined

const textOf = (parts = []) => parts.map(({ text }) => text).join("")
