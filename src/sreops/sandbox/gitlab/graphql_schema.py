"""The part of GitLab's GraphQL schema that incidents need (app/graphql/mutations/**, doc/api/graphql/reference)."""

SCHEMA = """
scalar Time
scalar IssueID
scalar NoteID
scalar NoteableID
scalar UserID
scalar LabelID
scalar IncidentManagementTimelineEventID

enum IssuableSeverity { UNKNOWN LOW MEDIUM HIGH CRITICAL }
enum IssueEscalationStatus { TRIGGERED ACKNOWLEDGED RESOLVED IGNORED }
enum IssueState { opened closed locked all }
enum IssueType { ISSUE INCIDENT TEST_CASE TASK }
enum IssueStateEvent { REOPEN CLOSE }
enum MutationOperationMode { REPLACE APPEND REMOVE }

type PageInfo { hasNextPage: Boolean! endCursor: String }
type UserCore { id: UserID! username: String! name: String! }
type UserCoreConnection { nodes: [UserCore] }
type Label { id: LabelID! title: String! }
type LabelConnection { nodes: [Label] }
type Note { id: NoteID! body: String! system: Boolean! internal: Boolean author: UserCore createdAt: Time! }
type TimelineEventTagType { id: ID! name: String! }
type TimelineEventTagTypeConnection { nodes: [TimelineEventTagType] }
type TimelineEventType {
  id: IncidentManagementTimelineEventID! note: String noteHtml: String action: String! editable: Boolean!
  occurredAt: Time! createdAt: Time! author: UserCore promotedFromNote: Note
  timelineEventTags: TimelineEventTagTypeConnection
}
type TimelineEventTypeConnection { nodes: [TimelineEventType] pageInfo: PageInfo! }
type Issue {
  id: ID! iid: ID! title: String! description: String state: IssueState! type: IssueType severity: IssuableSeverity
  escalationStatus: IssueEscalationStatus confidential: Boolean! webUrl: String! createdAt: Time! updatedAt: Time!
  closedAt: Time labels: LabelConnection assignees: UserCoreConnection author: UserCore!
}
type Project {
  id: ID! fullPath: ID! name: String! issue(iid: String): Issue
  incidentManagementTimelineEvents(incidentId: IssueID!, first: Int, after: String): TimelineEventTypeConnection
}
type Metadata { version: String! }
type Query { project(fullPath: ID!): Project currentUser: UserCore metadata: Metadata }

input TimelineEventCreateInput {
  clientMutationId: String incidentId: IssueID! note: String! occurredAt: Time! timelineEventTagNames: [String!]
}
input TimelineEventUpdateInput {
  clientMutationId: String id: IncidentManagementTimelineEventID! note: String occurredAt: Time
  timelineEventTagNames: [String!]
}
input TimelineEventDestroyInput { clientMutationId: String id: IncidentManagementTimelineEventID! }
input TimelineEventPromoteFromNoteInput { clientMutationId: String noteId: NoteID! }
input TimelineEventTagCreateInput { clientMutationId: String projectPath: ID! name: String! }
input IssueSetSeverityInput { clientMutationId: String projectPath: ID! iid: String! severity: IssuableSeverity! }
input IssueSetEscalationStatusInput {
  clientMutationId: String projectPath: ID! iid: String! status: IssueEscalationStatus!
}
input IssueSetAssigneesInput {
  clientMutationId: String projectPath: ID! iid: String! assigneeUsernames: [String!]!
  operationMode: MutationOperationMode = REPLACE
}
input UpdateIssueInput {
  clientMutationId: String projectPath: ID! iid: String! title: String description: String confidential: Boolean
  locked: Boolean dueDate: String type: IssueType addLabelIds: [ID!] removeLabelIds: [ID!] labelIds: [ID!]
  stateEvent: IssueStateEvent
}
input CreateNoteInput {
  clientMutationId: String noteableId: NoteableID! body: String! internal: Boolean confidential: Boolean
}

type TimelineEventCreatePayload { clientMutationId: String errors: [String!]! timelineEvent: TimelineEventType }
type TimelineEventUpdatePayload { clientMutationId: String errors: [String!]! timelineEvent: TimelineEventType }
type TimelineEventDestroyPayload { clientMutationId: String errors: [String!]! timelineEvent: TimelineEventType }
type TimelineEventPromoteFromNotePayload {
  clientMutationId: String errors: [String!]! timelineEvent: TimelineEventType
}
type TimelineEventTagCreatePayload {
  clientMutationId: String errors: [String!]! timelineEventTag: TimelineEventTagType
}
type IssueSetSeverityPayload { clientMutationId: String errors: [String!]! issue: Issue }
type IssueSetEscalationStatusPayload { clientMutationId: String errors: [String!]! issue: Issue }
type IssueSetAssigneesPayload { clientMutationId: String errors: [String!]! issue: Issue }
type UpdateIssuePayload { clientMutationId: String errors: [String!]! issue: Issue }
type CreateNotePayload { clientMutationId: String errors: [String!]! note: Note }

type Mutation {
  timelineEventCreate(input: TimelineEventCreateInput!): TimelineEventCreatePayload
  timelineEventUpdate(input: TimelineEventUpdateInput!): TimelineEventUpdatePayload
  timelineEventDestroy(input: TimelineEventDestroyInput!): TimelineEventDestroyPayload
  timelineEventPromoteFromNote(input: TimelineEventPromoteFromNoteInput!): TimelineEventPromoteFromNotePayload
  timelineEventTagCreate(input: TimelineEventTagCreateInput!): TimelineEventTagCreatePayload
  issueSetSeverity(input: IssueSetSeverityInput!): IssueSetSeverityPayload
  issueSetEscalationStatus(input: IssueSetEscalationStatusInput!): IssueSetEscalationStatusPayload
  issueSetAssignees(input: IssueSetAssigneesInput!): IssueSetAssigneesPayload
  updateIssue(input: UpdateIssueInput!): UpdateIssuePayload
  createNote(input: CreateNoteInput!): CreateNotePayload
}
"""
