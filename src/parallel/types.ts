type IsThenable<T> = 0 extends 1 & T
  ? boolean
  : [T] extends [never]
    ? false
    : unknown extends T
      ? boolean
      : T extends PromiseLike<unknown>
        ? true
        : false

type Surely<T extends readonly unknown[]> = true extends {
  [I in keyof T]: [IsThenable<T[I]>] extends [true] ? true : false
}[number]
  ? true
  : false

type Possibly<T extends readonly unknown[]> = true extends { [I in keyof T]: IsThenable<T[I]> }[number] ? true : false

/** What a result is when nothing is awaited. */
export type Now<T> = 0 extends 1 & T ? T : Exclude<T, PromiseLike<unknown>>
/** {@link Now} of each element. */
export type AllNow<T> = { -readonly [I in keyof T]: Now<T[I]> }
/** `Awaited` of each element. */
export type AllAwaited<T> = { -readonly [I in keyof T]: Awaited<T[I]> }

/** `Sync`, or a promise of `Async` if one of the results is a promise, or either if the types do not say. */
export type Join<T extends readonly unknown[], Sync, Async> =
  Surely<T> extends true ? Promise<Async> : Possibly<T> extends true ? Sync | Promise<Async> : Sync

/** The results of functions that were joined: a tuple, or a promise of one. */
export type Joined<T extends readonly unknown[]> = Join<T, AllNow<T>, AllAwaited<T>>

/** A slot of {@link executeInParallel}: a function, or nothing. */
export type Branch = (() => unknown) | null | undefined

type Result<B> = B extends () => infer R ? R : undefined

/** What the functions of a list return. */
export type Results<F extends readonly Branch[]> = { -readonly [I in keyof F]: Result<F[I]> }
