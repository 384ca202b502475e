import { log } from '@temporalio/activity';
import type { MediaKind, TaskSnapshot } from '../src/contract/index.js';
import type { KeySource, RivyaClient } from '../src/api/index.js';
import type { Spending } from './policy.js';
