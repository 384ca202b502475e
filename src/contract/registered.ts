import type {
  AwaitInput,
  AwaitResult,
  CheckInput,
  CheckResult,
  EstimateInput,
  EstimateResult,
  StoreInput,
  StoreResult,
  SubmitInput,
  SubmitResult,
} from './activities.js';
import type { ChatInput, ChatReply } from './chat.js';
import type { UploadInput, UploadResult } from './references.js';

/** The Activities by their registered names. */
export interface RivyaActivities {
  rivyaSubmit(input: SubmitInput): Promise<SubmitResult>;
  rivyaCheck(input: CheckInput): Promise<CheckResult>;
  rivyaStore(input: StoreInput): Promise<StoreResult>;
  rivyaAwait(input: AwaitInput): Promise<AwaitResult>;
  rivyaUpload(input: UploadInput): Promise<UploadResult>;
  rivyaChat(input: ChatInput): Promise<ChatReply>;
  rivyaEstimate(input: EstimateInput): Promise<EstimateResult>;
}
