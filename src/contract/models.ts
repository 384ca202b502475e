/** The parameters of models, as the API's list describes them. Imports types only and contains no code. */

/** A parameter of a model. Fields that the list left out, or that cannot be read, are null. */
export interface ListedParam {
  readonly name: string;
  /** `select`, `number`, `text`, or another word. */
  readonly type: string | null;
  readonly required: boolean | null;
  readonly default: string | number | boolean | null;
  readonly min: number | null;
  readonly max: number | null;
  /** The values of a `select`. */
  readonly options: readonly (string | number | boolean)[] | null;
}
