// In a file of its own: declarations of the package lead here, and not everybody who compiles against them has the AWS SDK.

/** Settings that the AWS SDK has no variable for, or that are meant for this store only. */
export interface S3Settings {
  /** URL of the service. Default: `AWS_ENDPOINT_URL_S3` and the other settings of the SDK, then AWS itself. */
  readonly endpoint?: string | undefined;
  /** `https://host/bucket` instead of `https://bucket.host`. Default false. */
  readonly pathStyle?: boolean | undefined;
}
