import type {
  CheckInput,
  CheckResult,
  EstimateInput,
  EstimateResult,
  PaidCallInput,
  PaidCallResult,
  ResultInput,
  ResultOfChild,
  StoreInput,
  StoreResult,
  TaskSnapshot,
} from './activities.js';
import type { ChatAnswer } from './chat.js';
import type { UploadInput, UploadResult } from './references.js';

/** The Activities by their registered names. */
export interface RivyaActivities {
  rivyaSubmit(input: PaidCallInput): Promise<PaidCallResult<TaskSnapshot>>;
  rivyaCheck(input: CheckInput): Promise<CheckResult>;
  rivyaStore(input: StoreInput): Promise<StoreResult>;
  rivyaResult(input: ResultInput): Promise<ResultOfChild>;
  rivyaUpload(input: UploadInput): Promise<UploadResult>;
  rivyaChat(input: PaidCallInput): Promise<PaidCallResult<ChatAnswer>>;
  rivyaEstimate(input: EstimateInput): Promise<EstimateResult>;
}
