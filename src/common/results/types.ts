/** Types for the results of functions: which are certainly promises, which may be, and which are not. */

/** `true`, `false`, or `boolean` if the type does not decide it. */
type IsThenable<T> = 0 extends 1 & T
  ? boolean
  : [T] extends [never]
    ? false
    : unknown extends T
      ? boolean
      : T extends PromiseLike<unknown>
        ? true
        : false

/** Of a list of unknown length, only its fixed first elements count, because the rest may be empty. */
type Surely<T extends readonly unknown[]> = number extends T["length"]
  ? T extends readonly [infer First, ...infer Others]
    ? [IsThenable<First>] extends [true]
      ? true
      : Surely<Others>
    : false
  : true extends { [I in keyof T]: [IsThenable<T[I]>] extends [true] ? true : false }[number]
    ? true
    : false

type Possibly<T extends readonly unknown[]> = true extends { [I in keyof T]: IsThenable<T[I]> }[number] ? true : false

/** The type of a result if nothing is awaited. */
export type Now<T> = 0 extends 1 & T ? T : Exclude<T, PromiseLike<unknown>>

/** `Promise<Async>` if one of the results is a promise, `Sync` if none is, and both if the types do not decide it. */
export type Join<T extends readonly unknown[], Sync, Async> =
  Surely<T> extends true ? Promise<Async> : Possibly<T> extends true ? Sync | Promise<Async> : Sync
