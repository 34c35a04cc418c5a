/** Makes a failing program smaller, by removing statements as long as it still fails. */
import type { Body, OfKind, Program, Region, Statement } from "./program.js"

/** How often at most a smaller program is tried. */
const most = 4000

export async function shrunk(program: Program, fails: (program: Program) => Promise<boolean>): Promise<Program> {
  let smallest = program
  let tries = 0
  for (let isSmaller = true; isSmaller && tries < most;) {
    isSmaller = false
    for (const statements of smallerLists(smallest.statements)) {
      const candidate = { ...smallest, statements }
      if (tries++ >= most) break
      if (!(await fails(candidate))) continue
      smallest = candidate
      isSmaller = true
      break
    }
  }
  return smallest
}

function* smallerLists(list: readonly Statement[]): Generator<Statement[]> {
  for (let length = list.length >> 1; length >= 1; length >>= 1) {
    for (let begin = 0; begin + length <= list.length; begin += length) {
      yield [...list.slice(0, begin), ...list.slice(begin + length)]
    }
  }
  for (const [place, statement] of list.entries()) {
    for (const smaller of smallerStatements(statement)) {
      yield [...list.slice(0, place), ...smaller, ...list.slice(place + 1)]
    }
  }
}

function* smallerBodies(body: Body): Generator<Body> {
  for (const statements of smallerLists(body.statements)) yield { ...body, statements }
  if (body.isAsync) yield { ...body, isAsync: false }
}

/** What a statement can be replaced by. */
function* smallerStatements(statement: Statement): Generator<Statement[]> {
  if (statement.kind === "action") yield* smallerActions(statement)
  else if ("body" in statement) {
    yield [...statement.body.statements]
    for (const body of smallerBodies(statement.body)) yield [{ ...statement, body }]
  } else if (statement.kind === "parallel") {
    for (const { statements } of statement.bodies) yield [...statements]
    for (const [place, body] of statement.bodies.entries()) {
      for (const smaller of smallerBodies(body)) {
        yield [{ ...statement, bodies: statement.bodies.with(place, smaller) }]
      }
    }
  } else if (statement.kind === "if") {
    yield [...statement.then.statements]
    for (const then of smallerBodies(statement.then)) yield [{ ...statement, then }]
    if (statement.otherwise === undefined) return
    yield [{ ...statement, otherwise: undefined }]
    for (const otherwise of smallerBodies(statement.otherwise)) yield [{ ...statement, otherwise }]
  }
}

const empty: Region = { array: 0, begin: 0, length: 0 }

function* smallerActions(statement: OfKind<Statement, "action">): Generator<Statement[]> {
  const { action } = statement
  if (action.kind !== "touch") return
  for (const part of ["input", "output", "both"] as const) {
    if (action[part].length > 0) yield [{ ...statement, action: { ...action, [part]: empty } }]
  }
}
