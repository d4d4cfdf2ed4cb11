"""Amazon Bedrock's Converse API as a provider.

Wire format: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and ..._ConverseStream.html
"""
